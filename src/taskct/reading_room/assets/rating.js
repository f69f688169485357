// One image, and how sure the reader is that it holds a signal.

import { confidenceOf } from "./confidence.js";
import { element, say } from "./elements.js";

/** Asks for a confidence. Five points answer at once; a slider is answered by Enter or its button. */
export class Rating {
  constructor(protocol, pictures, answered) {
    const atOnce = protocol.scale === 5;
    this.answered = answered;
    this.confidence = confidenceOf(protocol, (value) => (atOnce ? this._answer() : this._changed(value)));
    this.button = element("button", { type: "button", className: "first", onclick: () => this._answer() }, "Answer");
    this.button.disabled = true;
    this.element = element("div", { className: "asked" }, this.confidence.element, ...(atOnce ? [] : [this.button]));
    this.keys = atOnce
      ? [[["1", "…", "5"], "answers"]]
      : [[["←", "→"], "by 1"], [["PgUp", "PgDn"], "by 10"], [["0", "…", "9"], "types it"], [["Enter"], "answers"]];
  }

  _changed(value) {
    this.button.disabled = value === null;
  }

  _answer() {
    const { value } = this.confidence;
    if (value === null) say("Give your confidence first.");
    else this.answered({ rating: value });
  }

  key(event) {
    if (event.key !== "Enter") return this.confidence.key(event);
    this._answer();
    return true;
  }
}
