// Places in an image: the one most suspicious (locate), or any number of them (FROC), each with its confidence.

import { confidenceOf } from "./confidence.js";
import { element, say } from "./elements.js";

const MOVES = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
const FAR = 10; // pixels, with Shift
const MOST_MARKS = 100;
const DOUBLE_MS = 400; // an Enter so soon after the one that added a mark is the same press, and does not end the trial

/** A crosshair that pointer and arrow keys move over an image. */
class Crosshair {
  constructor({ height, width }, pictures, moved) {
    Object.assign(this, { height, width, moved });
    this.place = { row: Math.floor(height / 2), column: Math.floor(width / 2) };
    this.placed = false;
    pictures.picked = (_, place) => this.put(place);
  }

  put({ row, column }) {
    const inside = (value, size) => Math.round(100 * Math.min(Math.max(value, 0), size - 1)) / 100;
    this.place = { row: inside(row, this.height), column: inside(column, this.width) };
    this.placed = true;
    this.moved();
  }

  key(event) {
    if (event.key === " ") this.put(this.place);
    else if (!(event.key in MOVES)) return false;
    else {
      const [down, right] = MOVES[event.key].map((by) => by * (event.shiftKey ? FAR : 1));
      this.put({ row: this.place.row + down, column: this.place.column + right });
    }
    return true;
  }

  shape(pictures) {
    return pictures.cross(this.place, this.placed ? "cross" : "cross faint");
  }
}

const toldOf = ({ row, column }, rating) => ({ row_px: row, column_px: column, rating });

const crossKeys = (protocol) => [
  [["←", "↑", "→", "↓"], "move the cross"], [["Shift"], "by 10"], [["Space"], "put it here"],
  protocol.scale === 5 ? [["1", "…", "5"], "confidence"] : [["0", "…", "9"], "confidence"],
];

/** Locate: always one place, and the confidence that the image holds a signal. */
export class Locating {
  constructor(protocol, pictures, answered) {
    Object.assign(this, { pictures, answered });
    this.crosshair = new Crosshair(protocol, pictures, () => this._changed());
    this.confidence = confidenceOf(protocol, () => this._changed());
    this.note = element("p", { className: "note" });
    this.button = element("button", { type: "button", className: "first", onclick: () => this._answer() }, "Answer");
    this.element = element("div", { className: "asked" }, this.note, this.confidence.element, this.button);
    this.keys = [...crossKeys(protocol), [["Enter"], "answers"]];
    pictures.changed = () => this._draw();
    this._changed();
  }

  _missing() {
    if (!this.crosshair.placed) return "Show the most suspicious place, even if you think that there is no signal.";
    return this.confidence.value === null ? "Now say how sure you are that the image holds a signal." : "";
  }

  _changed() {
    this.note.textContent = this._missing() || "Enter or “Answer” sends both.";
    this.button.disabled = this._missing() !== "";
    this._draw();
  }

  _draw() {
    if (this.pictures.images) this.pictures.over(0, this.crosshair.shape(this.pictures));
  }

  _answer() {
    if (this._missing()) return say(this._missing());
    const rating = this.confidence.value;
    this.answered({ rating, marks: [toldOf(this.crosshair.place, rating)] });
  }

  key(event) {
    if (event.key !== "Enter") return this.crosshair.key(event) || this.confidence.key(event, false);
    this._answer();
    return true;
  }
}

/** FROC: any number of places, none as well. A place becomes a mark by its confidence. */
export class Marking {
  constructor(protocol, pictures, answered) {
    Object.assign(this, { protocol, pictures, answered, marks: [], isFresh: false });
    this.crosshair = new Crosshair(protocol, pictures, () => this._changed());
    this.confidence = confidenceOf(protocol, () => this._rated());
    this.note = element("p", { className: "note" });
    this.list = element("ol", { className: "marks" });
    this.add = element("button", { type: "button", onclick: () => this._add() }, "Add this mark");
    this.add.hidden = protocol.scale === 5;
    this.back = element("button", { type: "button", onclick: () => this._takeBack() }, "Take back");
    this.button = element("button", { type: "button", className: "first", onclick: () => this._answer() });
    const buttons = [this.add, this.back, this.button];
    this.element = element(
      "div", { className: "asked" }, this.note, this.confidence.element, ...buttons, this.list);
    this.keys = [...crossKeys(protocol), [["Delete"], "takes the last back"], [["Enter"], "adds, then ends"]];
    pictures.changed = () => this._draw();
    this._changed();
  }

  /** Five points make the mark at once; a slider waits for Enter or the button. */
  _rated() {
    if (this.protocol.scale === 5 && this.confidence.value !== null) this._add();
    else this._changed();
  }

  _add() {
    const full = this.marks.length >= MOST_MARKS && `No more than ${MOST_MARKS} marks can be given.`;
    const missing = full || (!this.crosshair.placed && "Show a place first: click it, or move the cross.");
    if (missing || this.confidence.value === null) {
      this.confidence.show(null);
      return this._changed(missing || "Give this place a confidence first.");
    }
    this.marks.push({ ...this.crosshair.place, rating: this.confidence.value });
    this.crosshair.placed = false;
    this.confidence.show(null);
    this.isFresh = true;
    setTimeout(() => (this.isFresh = false), DOUBLE_MS);
    say(`Mark ${this.marks.length} added.`);
    return this._changed();
  }

  _remove(k) {
    this.marks.splice(k, 1);
    say("Mark removed.");
    this._changed();
  }

  /** The place that is not yet a mark, else the last mark. */
  _takeBack() {
    if (this.crosshair.placed) {
      this.crosshair.placed = false;
      this.confidence.show(null);
      this._changed();
    } else if (this.marks.length) this._remove(this.marks.length - 1);
  }

  _answer() {
    if (this.crosshair.placed) return this._changed("This place has no confidence yet: give it one, or press Delete.");
    return this.answered({ marks: this.marks.map((mark) => toldOf(mark, mark.rating)) });
  }

  _changed(note = "") {
    const { placed } = this.crosshair;
    this.note.textContent = note || (placed ? "How suspicious is this place?" : "Mark every suspicious place.");
    if (note) say(note);
    this.add.disabled = !placed || this.confidence.value === null;
    this.button.textContent = this.marks.length ? "No more marks" : "No marks";
    this.button.disabled = placed;
    this.back.disabled = !placed && !this.marks.length;
    this.list.replaceChildren(...this.marks.map((mark, k) => this._item(mark, k)));
    this._draw();
  }

  _item({ rating }, k) {
    const label = `Remove mark ${k + 1}`;
    const remove = element("button", { type: "button", "aria-label": label, onclick: () => this._remove(k) }, "×");
    return element("li", {}, `confidence ${rating} `, remove);
  }

  _draw() {
    if (!this.pictures.images) return;
    const { pictures } = this;
    const ringed = (mark) => pictures.ring({ ...mark, radius: 8 * pictures.unit, className: "mark" });
    const marks = this.marks.flatMap((mark, k) => [ringed(mark), pictures.number(mark, String(k + 1))]);
    pictures.over(0, ...marks, this.crosshair.shape(pictures));
  }

  key(event) {
    if (event.key === "Delete") this._takeBack();
    else if (event.key === "Enter" && this.crosshair.placed) this._add();
    else if (event.key === "Enter") this.isFresh || this._answer();
    else return this.crosshair.key(event) || this.confidence.key(event, false);
    return true;
  }
}
