// Forced choice: which of the images holds the signal.

import { element } from "./elements.js";

const MOVES = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -2, ArrowDown: 2 };

/** Asks for one of the images. `answered({ choice })` is called once it is picked. */
export class Choosing {
  constructor(protocol, pictures, answered) {
    Object.assign(this, { pictures, answered, at: null });
    const count = pictures.parts.length;
    const digits = Array.from({ length: count }, (_, k) => String(k + 1));
    this.keys = [[digits, "that image"], [["←", "→", "Enter"], "pick, then answer"]];
    this.element = null;
    for (const [slot, part] of pictures.parts.entries()) {
      const onclick = () => this.pick(slot);
      const label = `Image ${slot + 1} holds the signal`;
      part.frame.append(element("button", { type: "button", "aria-label": label, onclick }, String(slot + 1)));
    }
    pictures.picked = (slot) => this.pick(slot);
  }

  pick(slot) {
    this._mark(slot);
    this.answered({ choice: slot });
  }

  key(event) {
    const count = this.pictures.parts.length;
    if (/^[1-4]$/.test(event.key) && Number(event.key) <= count && !event.repeat) this.pick(Number(event.key) - 1);
    else if (event.key in MOVES) this._move(MOVES[event.key], count);
    else if (event.key === "Enter" && this.at !== null) this.pick(this.at);
    else return false;
    return true;
  }

  _move(by, count) {
    const next = (this.at ?? (by > 0 ? -1 : count)) + (this.at === null ? Math.sign(by) : by);
    if (next >= 0 && next < count) this._mark(next);
  }

  _mark(slot) {
    this.at = slot;
    for (const [k, { frame }] of this.pictures.parts.entries()) frame.classList.toggle("picked", k === slot);
  }
}
