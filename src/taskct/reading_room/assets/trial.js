// One trial: images come, are drawn at once, are answered, and are gone.

import { Choosing } from "./choosing.js";
import { element, keysList, say, show } from "./elements.js";
import { huOf } from "./grey.js";
import { askImage, askState, sendAnswer, sendEvent } from "./link.js";
import { Locating, Marking } from "./marking.js";
import { Pictures } from "./pictures.js";
import { Rating } from "./rating.js";
import { GUARD_MS, onScreen, pause, pressed, Stopwatch } from "./waiting.js";
import { feedbackOf, viewKeys } from "./words.js";

const ASKERS = { "2afc": Choosing, "4afc": Choosing, rating: Rating, locate: Locating, froc: Marking };
const BLANK_MS = 300; // between two trials, so that nothing is found by flicker
const AGAIN_MS = 1000; // where the server says that the trial is not to be seen now
const RING_MARGIN = 8; // CSS pixels
const SMALL_PX = 4; // diameter of a ring where that of the signal is not known

/** Shows a trial until it is answered, paused or no longer the one to answer; gives the next state. */
export async function readTrial(session, state) {
  const trial = new Trial(session, state);
  try {
    return await trial.read();
  } finally {
    trial.close();
  }
}

/** What was pressed with a pointer is not what the next key is meant for. */
function giveFocusBack(event) {
  const byPointer = event.detail > 0 && event.target.closest("button, input");
  if (byPointer) document.getElementById("screen").focus({ preventScroll: true });
}

class Trial {
  constructor(session, state) {
    Object.assign(this, { session, state, protocol: session.protocol, armed: false, isEnded: false });
    this.pictures = new Pictures(this.protocol, session.view, state.trial.images.length);
    this.ended = new Promise((resolve) => (this._resolve = resolve));
    this.asker = new ASKERS[this.protocol.design](this.protocol, this.pictures, (given) => this._answered(given));
    this._watched = new AbortController();
    document.addEventListener("keydown", (event) => this._key(event), { signal: this._watched.signal });
    document.addEventListener("click", giveFocusBack, { signal: this._watched.signal });
  }

  close() {
    this._watched.abort();
    this.pictures.close();
    this.watch?.close();
  }

  async read() {
    this._show();
    const next = await Promise.race([this._begin(), this.ended]);
    return next();
  }

  /** Ends in what finds the next state. */
  async _begin() {
    const [images] = await Promise.all([this._images(), pause(BLANK_MS)]);
    if (images === null) {
      await pause(AGAIN_MS);
      return askState;
    }
    if (this.isEnded) return this.ended; // paused meanwhile
    this.pictures.paint(images);
    await onScreen();
    if (this.isEnded) return this.ended;
    this.watch = new Stopwatch(this.session.secondsBefore(this.state.trial));
    await pause(GUARD_MS);
    this._arm();
    return this.ended;
  }

  _arm() {
    if (this.isEnded) return;
    this.armed = true;
    this.stage.dataset.armed = "";
  }

  /** What comes next is decided once. */
  _end(next) {
    this.isEnded = true;
    this.armed = false;
    this._resolve(next);
  }

  async _images() {
    const size = 2 * this.protocol.height * this.protocol.width;
    const all = await Promise.all(this.state.trial.images.map((path) => askImage(path, size)));
    return all.includes(null) ? null : all.map(huOf);
  }

  _show() {
    const { phase, position, n } = this.state;
    const where = `${phase === "training" ? "Training trial" : "Trial"} ${position + 1} of ${n}`;
    const done = element("progress", { max: n, value: position, "aria-label": "Progress" });
    const head = element("header", {}, element("p", { className: "where" }, where), done, this._tools());
    this.stage = element("div", { className: "stage" }, this.pictures.element);
    this.controls = element("div", { className: "controls" }, ...(this.asker.element ? [this.asker.element] : []));
    this.keys = keysList([...this.asker.keys, ...viewKeys(this.protocol)]);
    const question = element("h1", {}, this.protocol.question);
    this.warning = element("p", { className: "warning", hidden: true });
    this.warning.textContent = "The browser resamples the images. Set its zoom to 100 % (Ctrl and 0).";
    show("trial", [head, question, this.stage, this.controls, this.warning, this.keys]);
    this.pictures.resampled = (is) => (this.warning.hidden = !is);
    this._fit();
    say(where);
  }

  _tools() {
    const tool = (text, label, onclick) => element("button", { type: "button", "aria-label": label, onclick }, text);
    this.told = element("span", { className: "figure" });
    const parts = [tool("−", "Smaller", () => this._zoom(-1)), tool("+", "Larger", () => this._zoom(1)), this.told];
    if (this.protocol.display.adjustable) parts.push(tool("Reset window", "Reset window", () => this._reset()));
    parts.push(tool("Pause", "Pause", () => this._pause()));
    const drawn = this.pictures.changed;
    this.pictures.changed = () => {
      drawn();
      const { centre_hu: centre, width_hu: width, zoom } = this.session.view.told();
      this.told.textContent = `${zoom}× · level ${centre}, width ${width} HU`;
    };
    return element("div", { className: "tools" }, ...parts);
  }

  /** At the first trial, images that do not fit the window are shown smaller. */
  _fit() {
    const { stage, pictures } = this;
    const isLarge = () => stage.scrollWidth > stage.clientWidth || stage.scrollHeight > stage.clientHeight;
    pictures.layOut();
    while (!this.session.isFitted && isLarge() && this.session.view.zoomBy(-1)) pictures.layOut();
    this.session.isFitted = true;
  }

  _zoom(steps) {
    this.session.view.zoomBy(steps);
    this.pictures.layOut();
  }

  _reset() {
    this.session.view.reset();
    this.pictures.draw();
  }

  _pause() {
    if (this.isEnded) return;
    if (this.watch) this.session.keepSeconds(this.state.trial, this.watch.close());
    this.pictures.clear();
    this._end(async () => ({ ...(await sendEvent("pause")), phase: "break", paused: true }));
  }

  _key(event) {
    if (event.ctrlKey || event.altKey || event.metaKey || document.getElementById("away").open) return;
    const onButton = event.target.closest?.("button") && (event.key === "Enter" || event.key === " ");
    if (!onButton && this._use(event)) event.preventDefault();
  }

  _use(event) {
    if (this._useView(event.key)) return true;
    if (!this.armed) return event.key !== "Tab" && event.key !== "Enter";
    if (event.target.type === "range" && this.asker.confidence.key(event)) return true;
    return this.asker.key(event);
  }

  _useView(key) {
    const { view } = this.session;
    const steps = { b: [1, 0], d: [-1, 0], m: [0, 1], l: [0, -1] }[key.toLowerCase()];
    if (steps && this.protocol.display.adjustable) view.step(...steps), this.pictures.draw();
    else if (key.toLowerCase() === "r" && this.protocol.display.adjustable) this._reset();
    else if (key === "+" || key === "=" || key === "-") this._zoom(key === "-" ? -1 : 1);
    else if (key.toLowerCase() === "p") this._pause();
    else return false;
    return true;
  }

  /** An answer counts once, and only after the guard. */
  _answered(given) {
    if (!this.armed) return;
    const { phase, position } = this.state.trial;
    const seconds = this.watch.close();
    const empty = { choice: null, rating: null, marks: [] };
    const answer = { phase, position, seconds, ...empty, ...given, displayed: this.session.view.told() };
    this.controls.inert = true;
    if (phase === "reading") this.pictures.clear();
    this._end(() => this._send(answer));
  }

  async _send(answer) {
    const next = await sendAnswer(answer);
    if (next.feedback) await this._feedback(next.feedback, answer);
    return next;
  }

  async _feedback(feedback, answer) {
    const slot = feedback.choice ?? 0;
    const radius = (one) => (one.diameter_px ?? SMALL_PX) / 2 + RING_MARGIN * this.pictures.unit;
    const changed = this.pictures.changed;
    this.pictures.changed = () => {
      changed();
      const own = answer.marks.map((mark) => this.pictures.cross({ row: mark.row_px, column: mark.column_px }));
      const ringed = (one) => this.pictures.ring({ row: one.row_px, column: one.column_px, radius: radius(one) });
      this.pictures.over(slot, ...own, ...feedback.lesions.map(ringed));
    };
    this.pictures.draw();
    const words = feedbackOf(this.protocol, feedback, answer);
    const kind = { true: "right", false: "wrong" }[feedback.correct] ?? "";
    const next = element("button", { type: "button", className: "first" }, "Next");
    const told = element("p", { className: `feedback ${kind}` }, words);
    this.controls.style.minHeight = `${this.controls.offsetHeight}px`; // the image stays where it is
    this.controls.inert = false;
    this.controls.replaceChildren(told, next);
    this.keys.style.visibility = "hidden";
    next.focus({ preventScroll: true });
    say(words);
    await pressed(next);
    this.pictures.clear();
  }
}
