// Confidence on a scale: five buttons, or a slider from 0 to 100. Keys work wherever the focus is.

import { element } from "./elements.js";

const PRESENCE = ["surely no signal", "probably none", "undecided", "probably a signal", "surely a signal"];
const SUSPICION = ["very low", "low", "medium", "high", "very high"];

/** Words for the points of a scale: of a signal in the image, or of a mark that is one of several. */
const wordsOf = (design) => (design === "froc" ? SUSPICION : PRESENCE);

/** The scale of a protocol. `chosen(value)` is called at each change. */
export function confidenceOf({ scale, design }, chosen) {
  return scale === 5 ? new FivePoints(wordsOf(design), chosen) : new HundredPoints(wordsOf(design), chosen);
}

class FivePoints {
  constructor(words, chosen) {
    this.value = null;
    this.chosen = chosen;
    this.buttons = words.map((word, k) => {
      const parts = [element("b", {}, String(k + 1)), element("span", {}, word)];
      const clicked = () => this._set(k + 1);
      return element("button", { type: "button", "aria-pressed": "false", onclick: clicked }, ...parts);
    });
    this.element = element("div", { className: "points", role: "group", "aria-label": "Confidence" }, ...this.buttons);
  }

  _set(value) {
    this.show(value);
    this.chosen(value);
  }

  show(value) {
    this.value = value;
    for (const [k, button] of this.buttons.entries()) button.setAttribute("aria-pressed", String(k + 1 === value));
  }

  /** Whether the key was one of the scale's. */
  key(event) {
    if (!/^[1-5]$/.test(event.key) || event.repeat) return false;
    this._set(Number(event.key));
    return true;
  }
}

const MOVES = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -10, PageUp: 10 };
const MIDDLE = 50, MOST = 100;

class HundredPoints {
  constructor(words, chosen) {
    this.chosen = chosen;
    this.slider = element("input", { type: "range", min: 0, max: MOST, step: 1, "aria-label": "Confidence, 0 to 100" });
    this.slider.addEventListener("input", () => this._set(Number(this.slider.value)));
    // A click in the very middle moves nothing and is yet an answer.
    this.slider.addEventListener("pointerup", () => this._set(Number(this.slider.value)));
    this.number = element("output", { className: "figure" });
    const ends = [element("span", {}, `0 ${words[0]}`), element("span", {}, `100 ${words[words.length - 1]}`)];
    const rail = element("div", { className: "rail" }, this.slider, element("div", { className: "ends" }, ...ends));
    this.element = element("div", { className: "hundred" }, rail, this.number);
    this.show(null);
  }

  _set(value, typed = "") {
    this.show(value, typed);
    this.chosen(value);
  }

  show(value, typed = "") {
    this.value = value;
    this.typed = typed;
    this.slider.value = value ?? MIDDLE;
    this.slider.setAttribute("aria-valuetext", value === null ? "not given yet" : String(value));
    this.slider.classList.toggle("unset", value === null);
    this.number.textContent = value ?? "–";
  }

  key(event, arrows = true) {
    const { key } = event;
    if (/^[0-9]$/.test(key)) return event.repeat || this._type(key);
    if (key === "Backspace") return this._back();
    if (key === "Home" || key === "End") return this._moved(key === "Home" ? 0 : MOST);
    if (!(key in MOVES) || (!arrows && key.startsWith("Arrow"))) return false;
    return this._moved((this.value ?? MIDDLE) + MOVES[key]);
  }

  _type(digit) {
    const joined = this.typed + digit;
    const typed = Number(joined) <= MOST && joined.length <= 3 ? joined : digit;
    this._set(Number(typed), typed);
    return true;
  }

  _back() {
    const typed = this.typed.slice(0, -1);
    this._set(typed ? Number(typed) : null, typed);
    return true;
  }

  _moved(value) {
    this._set(Math.min(Math.max(value, 0), MOST));
    return true;
  }
}
