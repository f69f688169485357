// What the screens say that the protocol does not.

import { isChoice } from "./design.js";

const images = (n, what) => `${n} ${what}${n === 1 ? "" : "s"}`;

/** How long the study is. */
export function lengthOf({ n_training: training, n_trials: trials, break_every: every }) {
  const first = training ? `${images(training, "training trial")} with the answer told, then ` : "";
  const breaks = every ? ` A break is offered after every ${every}.` : "";
  return `There are ${first}${images(trials, "trial")}.${breaks} You can pause at any time, close the page, and go on later or elsewhere with the same link.`;
}

const place = (slot) => `image ${slot + 1}`;

/** What a training trial tells after its answer. */
export function feedbackOf(protocol, feedback, answer) {
  if (isChoice(protocol)) {
    const ring = feedback.lesions.length ? ", inside the ring" : "";
    const where = `the signal is in ${place(feedback.choice)}${ring}.`;
    return feedback.correct ? `Right: ${where}` : `Wrong: you chose ${place(answer.choice)}; ${where}`;
  }
  const verdict = feedback.correct === null ? "" : feedback.correct ? "Right. " : "Wrong. ";
  if (!feedback.present) return `${verdict}This image holds no signal.`;
  const told = ["This image holds a signal.", "A signal is inside the ring."][feedback.lesions.length];
  return verdict + (told ?? "Signals are inside the rings.");
}

/** Keys that every trial has. */
export function viewKeys({ display }) {
  const window = [[["B", "D"], "brighter, darker"], [["M", "L"], "more, less contrast"], [["R"], "resets the window"]];
  return [...(display.adjustable ? window : []), [["+", "−"], "zoom"], [["P"], "pause"]];
}
