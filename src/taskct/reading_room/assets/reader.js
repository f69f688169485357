// The session of a reader: each state of the study has its screen, each screen ends with the next state.

import { checkDisplay, isChecked } from "./display_check.js";
import { element, keysList, say, show } from "./elements.js";
import { askState, keptAnswer, Refused, sendAnswer, sendEvent } from "./link.js";
import { View } from "./pictures.js";
import { readTrial } from "./trial.js";
import { pressed } from "./waiting.js";
import { lengthOf, viewKeys } from "./words.js";

/** What outlives a trial. */
class Session {
  constructor(protocol) {
    this.protocol = protocol;
    this.view = new View(protocol);
    this.spent = {};
    this.phase = null;
    this.isFitted = false;
  }

  /** Seconds that a trial was seen before its pause. */
  secondsBefore({ phase, position }) {
    return this.spent.phase === phase && this.spent.position === position ? this.spent.seconds : 0;
  }

  keepSeconds({ phase, position }, seconds) {
    this.spent = { phase, position, seconds };
  }
}

const button = (text) => element("button", { type: "button", className: "first" }, text);
const paragraphs = (...texts) => texts.map((text) => element("p", {}, text));

/** A screen of text with one button; ends when it is pressed. */
async function tell(title, parts, label) {
  const on = button(label);
  show("text", [element("h1", {}, title), ...parts, element("div", { className: "buttons" }, on)], on);
  say(title);
  await pressed(on);
}

async function instructions({ protocol }) {
  const { title, instructions: given } = protocol;
  const drag = protocol.display.adjustable ? " Dragging over an image changes its window." : "";
  const hint = `Everything can be done with the mouse alone or with the keyboard alone.${drag} Keys stand below each image.`;
  const parts = [...paragraphs(...given, lengthOf(protocol), hint), keysList(viewKeys(protocol))];
  await tell(title, parts, "Go on to the display check");
  await sendEvent("display", await checkDisplay(protocol));
  return sendEvent("begin");
}

async function takeBreak(session, { answered, total, paused }) {
  // A page that opens on a break does not know whether the reader asked for it or was offered it.
  const opens = session.phase === null;
  const [title, words] = paused
    ? ["Paused", "The images are hidden. "]
    : opens ? ["Welcome back", ""] : ["Time for a break", "This is a good moment to rest your eyes. "];
  const parts = paragraphs(`${words}${answered} of ${total} trials are answered, and all of them are kept.`);
  parts.push(...paragraphs("Take as long as you like. You can also close the page and come back with the same link."));
  await tell(title, parts, "Go on");
  return sendEvent("resume");
}

async function read(session, state) {
  if (!isChecked()) await sendEvent("display", await checkDisplay(session.protocol));
  const begins = session.phase === "training" && state.phase === "reading";
  session.phase = state.phase;
  if (state.elsewhere) {
    const said = "This trial was answered in another tab or on another device. The study goes on from where it is now.";
    await tell("Answered elsewhere", paragraphs(said), "Go on");
  } else if (begins) {
    const said = `Training is over. ${state.n} trials follow, and from now on the answer is not told.`;
    await tell("The reading begins", paragraphs(said), "Begin");
  }
  return readTrial(session, state);
}

function end(title, ...texts) {
  show("text", [element("h1", {}, title), ...paragraphs(...texts)]);
  say(title);
  return new Promise(() => {});
}

const done = (session, { answered }) =>
  end("Thank you", `You have answered all ${answered} trials. Everything is kept. You can close this page.`);

const closed = () => end("The study is closed", "No more answers are taken. What you answered is kept.");

const SCREENS = { instructions, training: read, reading: read, break: takeBreak, done, closed };

/** A key that is held is one press; where it answers or goes on, nothing is to come of the others. */
function passOverHeld(event) {
  if (!event.repeat || event.key !== "Enter") return;
  event.preventDefault();
  event.stopImmediatePropagation();
}

async function begin() {
  document.addEventListener("keydown", passOverHeld, { capture: true });
  let state = keptAnswer() ? await sendAnswer(keptAnswer()) : await askState();
  const session = new Session(state.protocol);
  document.title = state.protocol.title;
  for (;;) state = await SCREENS[state.phase](session, state);
}

begin().catch((error) => {
  const again = button("Load the page again");
  again.addEventListener("click", () => location.reload());
  const said = error instanceof Refused ? error.message : `The page has a fault: ${error.message}`;
  show("text", [element("h1", {}, "This does not go on"), ...paragraphs(said), again], again);
  if (!(error instanceof Refused)) throw error;
});
