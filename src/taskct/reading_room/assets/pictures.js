// The images of a trial on their canvases, in whole pixels of the screen, with a drawing over each.

import { gridOf, isChoice } from "./design.js";
import { drawn, element } from "./elements.js";
import { firstZoom, greyTable, pixelsOf, usableZooms } from "./grey.js";

const DRAG_STARTS = 4; // CSS pixels; less is a click
const DRAG_SHARE = 1 / 300; // of the window's width, for each CSS pixel
const STEP_SHARE = 0.05; // of the window's width, for each key
const NARROWEST_HU = 1, WIDEST_HU = 8000, FARTHEST_HU = 32767;
const BLANK = "#808080";

const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
const inTenths = (value) => Math.round(10 * value) / 10;

/** How images are looked at: window and zoom. It outlives a trial. */
export class View {
  constructor(protocol) {
    const { display } = protocol;
    this.display = display;
    const [across, down] = gridOf(protocol);
    this.zooms = usableZooms(display.zooms, protocol, across * down);
    this.zoom = firstZoom(this.zooms);
    this.reset();
  }

  reset() {
    this.set(this.display.centre_hu, this.display.width_hu);
  }

  set(centre, width) {
    this.width = clamp(inTenths(width), NARROWEST_HU, WIDEST_HU);
    this.centre = clamp(inTenths(centre), -FARTHEST_HU, FARTHEST_HU);
    this.table = greyTable(this.centre, this.width);
  }

  /** Steps of brightness and contrast, positive for more. */
  step(brighter, contrast) {
    const width = this.width * (1 - STEP_SHARE) ** contrast;
    this.set(this.centre - brighter * STEP_SHARE * this.width, width);
  }

  /** `steps` up the list of zooms; whether there was such a zoom. */
  zoomBy(steps) {
    const sorted = [...this.zooms].sort((a, b) => a - b);
    const next = sorted[sorted.indexOf(this.zoom) + steps];
    this.zoom = next ?? this.zoom;
    return next !== undefined;
  }

  /** As it is told with an answer. */
  told() {
    return { centre_hu: this.centre, width_hu: this.width, zoom: this.zoom };
  }
}

/** The pictures of a trial. They are blank until `paint` is given the images. */
export class Pictures {
  constructor(protocol, view, count) {
    Object.assign(this, { protocol, view, images: null });
    this.picked = () => {};
    this.changed = () => {};
    this.parts = Array.from({ length: count }, (_, slot) => this._part(slot));
    this.element = element("div", { className: `pictures of-${count}` }, ...this.parts.map((part) => part.frame));
    this._watched = new AbortController();
    window.addEventListener("resize", () => this.layOut(), { signal: this._watched.signal });
    this._watchPixels();
  }

  /** Tells `resampled(true)` when the browser gives a canvas other than its own number of screen pixels. */
  _watchPixels() {
    this.resampled = () => {};
    if (!("devicePixelContentBoxSize" in ResizeObserverEntry.prototype)) return; // Safari does not tell
    this._pixels = new ResizeObserver((entries) => {
      const other = ({ target, devicePixelContentBoxSize: [box] }) =>
        box.inlineSize !== target.width || box.blockSize !== target.height;
      this.resampled(entries.some(other) || window.visualViewport.scale !== 1);
    });
    for (const { canvas } of this.parts) this._pixels.observe(canvas, { box: "device-pixel-content-box" });
  }

  _part(slot) {
    const { height, width } = this.protocol;
    const name = isChoice(this.protocol) ? `Image ${slot + 1}` : "Image";
    const canvas = element("canvas", { role: "img", "aria-label": name });
    const over = drawn("svg", { viewBox: `-0.5 -0.5 ${width} ${height}`, "aria-hidden": "true" });
    const sheet = element("div", { className: "sheet" }, canvas, over);
    const frame = element("div", { className: "picture" }, sheet);
    this._followPointer(sheet, slot);
    return { canvas, over, sheet, frame };
  }

  _followPointer(sheet, slot) {
    let from = null;
    sheet.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      event.preventDefault();
      sheet.setPointerCapture(event.pointerId);
      from = { x: event.clientX, y: event.clientY, centre: this.view.centre, width: this.view.width, dragged: false };
    });
    sheet.addEventListener("pointermove", (event) => {
      if (!from || !this.images || !this.protocol.display.adjustable) return;
      const right = event.clientX - from.x, down = event.clientY - from.y;
      from.dragged ||= Math.hypot(right, down) > DRAG_STARTS;
      if (!from.dragged) return;
      const by = from.width * DRAG_SHARE;
      this.view.set(from.centre + down * by, from.width + right * by);
      this.draw();
    });
    sheet.addEventListener("pointerup", (event) => {
      const clicked = from && !from.dragged;
      from = null;
      if (clicked && this.images) this.picked(slot, this._placeOf(event, slot));
    });
    sheet.addEventListener("pointercancel", () => (from = null));
  }

  /** Where in the image; the middle of its first pixel is (0, 0). */
  _placeOf(event, slot) {
    const { height, width } = this.protocol;
    const box = this.parts[slot].canvas.getBoundingClientRect();
    const row = ((event.clientY - box.top) / box.height) * height - 0.5;
    const column = ((event.clientX - box.left) / box.width) * width - 0.5;
    return { row: clamp(row, 0, height - 1), column: clamp(column, 0, width - 1) };
  }

  /** CSS pixels in pixels of the image. */
  get unit() {
    return window.devicePixelRatio / this.view.zoom;
  }

  paint(images) {
    this.images = images;
    this.draw();
  }

  clear() {
    this.images = null;
    for (const { over } of this.parts) over.replaceChildren();
    this.draw();
  }

  /** Sizes are whole numbers of the screen's pixels. Browsers place such a canvas on whole pixels and resample nothing. */
  layOut() {
    const { height, width } = this.protocol;
    const { zoom } = this.view, ratio = window.devicePixelRatio;
    for (const { canvas, sheet } of this.parts) {
      [canvas.width, canvas.height] = [width * zoom, height * zoom];
      sheet.style.width = canvas.style.width = `${canvas.width / ratio}px`;
      sheet.style.height = canvas.style.height = `${canvas.height / ratio}px`;
    }
    this.draw();
  }

  draw() {
    const { table, zoom } = this.view;
    for (const [slot, { canvas }] of this.parts.entries()) {
      const context = canvas.getContext("2d", { alpha: false });
      if (this.images) {
        context.putImageData(pixelsOf(this.images[slot], this.protocol, table, zoom), 0, 0);
      } else {
        context.fillStyle = BLANK;
        context.fillRect(0, 0, canvas.width, canvas.height);
      }
    }
    this.changed();
  }

  /** Draws over an image: circles, crosses and numbers, in pixels of the image. */
  over(slot, ...shapes) {
    this.parts[slot].over.replaceChildren(...shapes);
  }

  ring({ row, column, radius, className = "ring" }) {
    return drawn("circle", { cx: column, cy: row, r: radius, class: className });
  }

  /** A cross that leaves its middle free. */
  cross({ row, column }, className = "cross") {
    const [near, far] = [7 * this.unit, 17 * this.unit];
    const line = (x, y) => `M${column + x * near} ${row + y * near}L${column + x * far} ${row + y * far}`;
    return drawn("path", { d: line(1, 0) + line(-1, 0) + line(0, 1) + line(0, -1), class: className });
  }

  number({ row, column }, text) {
    const size = 12 * this.unit;
    const at = { x: column + 11 * this.unit, y: row - 9 * this.unit, "font-size": size, class: "number" };
    return drawn("text", at, text);
  }

  close() {
    this._watched.abort();
    this._pixels?.disconnect();
  }
}
