// The check of the display: a step wedge, and squares that are barely there.

import { gridOf } from "./design.js";
import { element, show } from "./elements.js";
import { firstZoom } from "./grey.js";
import { kept } from "./kept.js";
import { pressed } from "./waiting.js";

const STEPS = 18, STEP = 15; // grey levels 0, 15, …, 255
const DARK = [0, 13], BRIGHT = [255, 242]; // 0 and 5 %, 100 and 95 % of 255
const CORNERS = ["top left", "top right", "bottom left", "bottom right"];
const UNSEEN = "I cannot see it";

const device = kept("local");
const screenNow = () => ({
  screen_width_px: window.screen.width, screen_height_px: window.screen.height,
  device_pixel_ratio: window.devicePixelRatio,
});

/** Whether this screen was checked before. */
export const isChecked = () => JSON.stringify(device.get("display")) === JSON.stringify(screenNow());

function grey(level, className, ...children) {
  const made = element("div", { className }, ...children);
  made.style.backgroundColor = `rgb(${level}, ${level}, ${level})`;
  return made;
}

function wedge() {
  const steps = Array.from({ length: STEPS }, (_, k) => grey(STEP * k, "step"));
  return element("div", { className: "wedge", role: "img", "aria-label": `${STEPS} steps from black to white` }, ...steps);
}

/** A field with a square in one of its corners, and the question where it is. */
function cornerTest(name, [field, square], legend) {
  const corner = Math.floor(Math.random() * CORNERS.length);
  const picture = grey(field, `field corner-${corner}`, grey(square, "square"));
  picture.setAttribute("role", "img");
  picture.setAttribute("aria-label", `${name} field with a faint square`);
  const option = (text) =>
    element("label", {}, element("input", { type: "radio", name, value: text, required: true }), text);
  const asked = element("fieldset", {}, element("legend", {}, legend), ...[...CORNERS, UNSEEN].map(option));
  return { element: element("div", { className: "corner-test" }, picture, asked), right: CORNERS[corner] };
}

function told(form, dark, bright) {
  const given = new FormData(form);
  return {
    steps_seen: Number(given.get("steps")),
    dark_square_seen: given.get("dark") === dark.right,
    bright_square_seen: given.get("bright") === bright.right,
    ...screenNow(), window_width_px: window.innerWidth, window_height_px: window.innerHeight,
  };
}

/** What stands in the way of whole pixels and of room for the images. */
function warnings(protocol) {
  const ratio = window.devicePixelRatio;
  const found = [];
  if (!Number.isInteger(ratio)) {
    found.push(
      `Zoom of the browser times scaling of the screen is ${Math.round(100 * ratio)} %. Set the browser's zoom to 100 % ` +
        "(Ctrl and 0), and the screen's scaling to a whole multiple if you can, so that every pixel is a whole one.");
  }
  if (window.visualViewport.scale !== 1) found.push("The page is zoomed by touch. Zoom it out, or the images are blurred.");
  const [across, down] = gridOf(protocol);
  const fits = (zoom) =>
    across * protocol.width * zoom <= window.innerWidth * ratio && down * protocol.height * zoom <= window.innerHeight * ratio;
  const { zooms } = protocol.display;
  if (!fits(firstZoom(zooms))) {
    const otherwise = fits(Math.min(...zooms)) ? "or they are shown smaller" : "or you must scroll to see all of them";
    found.push(`The images are larger than this window. Make the window as large as the screen, ${otherwise}.`);
  }
  return found.map((text) => element("p", { className: "warning" }, text));
}

function advice(detail) {
  const wanting = [
    detail.dark_square_seen ? "" : "The dark square was missed: raise the brightness, or darken the room.",
    detail.bright_square_seen ? "" : "The bright square was missed: lower the contrast of the display.",
    detail.steps_seen === STEPS ? "" : `Only ${detail.steps_seen} of the ${STEPS} steps were told apart.`,
  ];
  return wanting.filter(Boolean);
}

const NOTE =
  "A browser can neither measure nor calibrate a display. Read on one that is calibrated to the DICOM greyscale standard " +
  "display function (GSDF, PS3.14), in its DICOM setting, in a dim room without reflections. Switch off night colours, " +
  "automatic brightness and high dynamic range. Do not change the display while you read.";

/** Shows the check; gives what was seen, once the reader goes on. */
export async function checkDisplay(protocol) {
  for (;;) {
    const detail = await ask(protocol);
    const wanting = advice(detail);
    if (!wanting.length || (await goOn(wanting))) {
      device.set("display", screenNow());
      return detail;
    }
  }
}

async function ask(protocol) {
  const dark = cornerTest("dark", DARK, "Where is the lighter square in the black field?");
  const bright = cornerTest("bright", BRIGHT, "Where is the darker square in the white field?");
  const counts = Array.from({ length: STEPS }, (_, k) => element("option", {}, String(STEPS - k)));
  const none = element("option", { value: "" }, "–");
  const steps = element("select", { name: "steps", required: true, id: "steps" }, none, ...counts);
  const count = `How many of the ${STEPS} steps can you tell from their neighbours?`;
  const button = element("button", { type: "submit", className: "first" }, "Go on");
  const form = element(
    "form", {},
    element("div", { className: "tests" }, dark.element, bright.element),
    wedge(), element("p", {}, element("label", { htmlFor: "steps" }, count, " "), steps),
    element("p", { className: "note" }, NOTE), ...warnings(protocol), button);
  show("text check", [element("h1", {}, "Your display"), form]);
  await new Promise((resolve) =>
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      resolve();
    }));
  return told(form, dark, bright);
}

async function goOn(wanting) {
  const again = element("button", { type: "button", className: "first" }, "Check again");
  const anyway = element("button", { type: "button" }, "Go on all the same");
  const found = element("ul", {}, ...wanting.map((text) => element("li", {}, text)));
  const note = "What you saw is kept with the study, whichever you choose.";
  const parts = [element("h1", {}, "Your display"), found, element("p", { className: "note" }, note)];
  show("text", [...parts, element("div", { className: "buttons" }, again, anyway)], again);
  return (await pressed(again, anyway)) === anyway;
}
