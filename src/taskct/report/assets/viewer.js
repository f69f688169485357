// The images: two of them beside the reference, or in turn, or minus it; window and level; trials worst first.
"use strict";
if (data.images.trials.length) (() => {
  const byId = (id) => document.getElementById(id);
  const { trials, dials, names, labels } = data.images;
  const fields = Object.fromEntries(["order", "trial", "a", "b", "centre", "width", "outline", "place", "dial"].map((id) => [id, byId(`view-${id}`)]));
  const canvases = ["reference", "a", "b"].map((id) => byId(`canvas-${id}`));
  const said = byId("trial-reading");
  const DIAL = "dial";
  const SLOWEST_MS = 500; // each image stands this long: one turn of both a second, well below 3 Hz
  let mode = "side", timer = null, turn = 0;

  const armLabels = new Map(names.map((name, i) => [name, labels[i]]));
  for (const dial of dials) for (const i of dial.arms) armLabels.set(data.arms[i].name, data.arms[i].label);
  const options = [...armLabels];
  if (dials.length) options.push([DIAL, "by the dial"]);
  const first = (...wanted) => wanted.find((name) => armLabels.has(name)) ?? names[0];
  fillSelect(fields.a, options, first("mse", data.control));
  fillSelect(fields.b, options, first(data.chosen, ...data.quoted, data.control));
  fillSelect(fields.dial, dials.map((dial, i) => [String(i), dial.label]), "0");
  fields.dial.parentElement.hidden = dials.length < 2;
  byId("dial").hidden = !dials.length;
  for (const [field, value, span] of [[fields.centre, data.images.window[0], 2 * data.images.window[1]], [fields.width, data.images.window[1], 0]]) {
    field.min = span ? value - span : 2;
    field.max = span ? value + span : 5 * value;
    field.step = 1;
    field.value = value;
  }

  // What the slider of the chosen dial stands for: a price in percent of RMSE, or α.
  const which = () => Number(fields.dial.value), place = () => Number(fields.place.value);
  const priced = () => Boolean(dials[which()].law);
  const placeSaid = () => (priced() ? `${written(place(), 1)} %` : written(place(), 2));
  const dialName = () => (priced() ? `task path, price ${placeSaid()}` : `blend, α = ${placeSaid()}`);

  function setDial() {
    const { at, arms } = dials[which()], last = Math.max(...at);
    const chosen = arms.findIndex((i) => data.arms[i].name === data.chosen);
    fields.place.max = last;
    fields.place.step = priced() ? 0.1 : 0.01;
    fields.place.value = chosen >= 0 ? at[chosen] : priced() ? Math.min(2, last) : 0.5;
    byId("place-name").textContent = priced() ? "Price in RMSE" : "Blend α";
    byId("place-said").textContent = placeSaid();
  }
  if (dials.length) setDial();

  const nameOf = (field) => (field.value === DIAL ? dialName() : armLabels.get(field.value));
  const imageOf = (field, trial) => (field.value === DIAL
    ? pixels.mixed(which(), pixels.shareAt(which(), place()), trial)
    : pixels.ofArm(field.value, trial));

  // How much of the signal's contrast image B loses, or the strongest false signal in it, HU, trial by trial.
  const MEASURES = {
    loss: (trial, difference) => -trials[trial].polarity * pixels.atSignal(difference, trial),
    false: (trial, difference) => (trials[trial].present ? NaN : pixels.falseSignal(difference, trial)),
  };

  function fillTrials() {
    const order = fields.order.value, kept = fields.trial.value;
    const rows = trials.map((trial, i) => {
      const why = { "contrast loss": ", most contrast lost under MSE", "false signal": ", strongest false signal under MSE" }[trial.why] ?? "";
      const text = `trial ${trial.number}, signal ${trial.present ? "present" : "absent"}${why}`;
      if (order === "drawn") return { i, text, value: 0 };
      const value = MEASURES[order](i, pixels.minus(imageOf(fields.b, i), pixels.saved(0, i)));
      const what = order === "loss" ? `loses ${written(value, 1)} HU` : `paints up to ${written(value, 1)} HU`;
      return { i, value, text: isNaN(value) ? text : `${text}: ${what}` };
    });
    rows.sort((a, b) => (isNaN(a.value) - isNaN(b.value)) || (b.value - a.value) || (a.i - b.i));
    fillSelect(fields.trial, rows.map(({ i, text }) => [String(i), text]), order === "drawn" && kept ? kept : String(rows[0].i));
  }

  function draw() {
    const trial = Number(fields.trial.value), { ring } = trials[trial];
    const outline = fields.outline.checked ? ring : null;
    const reference = pixels.saved(0, trial), [a, b] = [imageOf(fields.a, trial), imageOf(fields.b, trial)];
    const grey = [Number(fields.centre.value), Number(fields.width.value)], about0 = [0, data.images.differenceWindow];
    const titles = ["reference", nameOf(fields.a), nameOf(fields.b)];
    byId("pictures").classList.toggle("two", mode === "flicker");
    canvases[2].parentElement.hidden = mode === "flicker";
    if (mode === "difference") {
      drawImage(canvases[0], pixels.minus(b, a), about0, outline);
      drawImage(canvases[1], pixels.minus(a, reference), about0, outline);
      drawImage(canvases[2], pixels.minus(b, reference), about0, outline);
      titles[0] = `B minus A`;
      titles[1] += " minus reference";
      titles[2] += " minus reference";
    } else {
      drawImage(canvases[0], reference, grey, outline);
      drawImage(canvases[1], mode === "flicker" && turn ? b : a, grey, outline);
      drawImage(canvases[2], b, grey, outline);
      if (mode === "flicker") titles[1] = turn ? `B: ${nameOf(fields.b)}` : `A: ${nameOf(fields.a)}`;
    }
    ["reference", "a", "b"].forEach((id, i) => {
      byId(`title-${id}`).textContent = titles[i];
      canvases[i].setAttribute("aria-label", `${titles[i]}, trial ${trials[trial].number}`);
    });
    byId("centre-said").textContent = `${written(grey[0], 0)} HU`;
    byId("width-said").textContent = `${written(grey[1], 0)} HU`;
    read(trial, reference, a, b);
  }

  // What the two images of this trial say in numbers.
  function read(trial, reference, a, b) {
    const parts = [[nameOf(fields.a), a], [nameOf(fields.b), b]].map(([name, image]) => {
      const difference = pixels.minus(image, reference);
      const what = trials[trial].present
        ? `${written(pixels.atSignal(difference, trial), 1, true)} HU at the signal`
        : `strongest false signal ${written(pixels.falseSignal(difference, trial), 1)} HU`;
      return `${name}: RMSE ${written(pixels.rmse(image, reference), 2)} HU, ${what}`;
    });
    said.textContent = `This trial. ${parts.join("; ")}.`;
  }

  function turnDial() {
    fields.b.value = DIAL;
    const found = explorer.dialAt(which(), place());
    byId("place-said").textContent = placeSaid();
    const auc = found.auc === null ? "" : `, AUC ${written(found.auc, 3)} for the ${found.observer}`;
    const over = found.rmse === null ? "" : `Over all test trials: RMSE ${written(found.rmse, 2)} HU${auc} (a straight line between the arms measured).`;
    byId("dial-said").textContent = found.nearest.length ? `${over} Measured ${found.nearest.length > 1 ? "on either side" : "here"}: ${found.nearest.join("; ")}.` : over;
    changed();
  }

  // Image B has changed: where trials are ordered by it, their order has too.
  function changed() {
    if (fields.order.value !== "drawn") {
      const kept = fields.trial.value;
      fillTrials();
      fields.trial.value = kept;
    }
    draw();
  }

  function stop() {
    clearInterval(timer);
    timer = null;
    byId("flicker-run").textContent = "Start";
    byId("flicker-run").setAttribute("aria-pressed", "false");
  }

  function setMode(next) {
    mode = next;
    turn = 0;
    stop();
    for (const button of document.querySelectorAll("[data-mode]")) button.setAttribute("aria-pressed", String(button.dataset.mode === mode));
    byId("flicker").hidden = mode !== "flicker";
    draw();
  }

  for (const button of document.querySelectorAll("[data-mode]")) button.addEventListener("click", () => setMode(button.dataset.mode));
  byId("swap").addEventListener("click", () => { turn = 1 - turn; draw(); });
  const still = matchMedia("(prefers-reduced-motion: reduce)");
  const allow = () => {
    byId("flicker-run").hidden = still.matches;
    if (still.matches) stop();
  };
  still.addEventListener("change", allow);
  allow();
  byId("flicker-run").addEventListener("click", () => {
    if (timer) return stop();
    byId("flicker-run").textContent = "Stop";
    byId("flicker-run").setAttribute("aria-pressed", "true");
    timer = setInterval(() => { turn = 1 - turn; draw(); }, SLOWEST_MS);
  });
  for (const field of [fields.trial, fields.a, fields.centre, fields.width, fields.outline]) field.addEventListener("input", draw);
  fields.order.addEventListener("input", () => { fillTrials(); draw(); });
  fields.b.addEventListener("input", changed);
  fields.place.addEventListener("input", turnDial);
  fields.dial.addEventListener("input", () => { setDial(); turnDial(); });
  byId("window-reset").addEventListener("click", () => {
    [fields.centre.value, fields.width.value] = data.images.window;
    draw();
  });

  // Drag: across for the width, up and down for the centre.
  for (const canvas of canvases) {
    let from = null;
    canvas.addEventListener("pointerdown", (event) => {
      from = { x: event.clientX, y: event.clientY, centre: Number(fields.centre.value), width: Number(fields.width.value) };
      canvas.setPointerCapture(event.pointerId);
    });
    canvas.addEventListener("pointermove", (event) => {
      if (!from || mode === "difference") return;
      const perPixel = data.images.window[1] / 200;
      fields.width.value = from.width + (event.clientX - from.x) * perPixel;
      fields.centre.value = from.centre + (event.clientY - from.y) * perPixel;
      draw();
    });
    for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, () => { from = null; });
  }

  fillTrials();
  setMode("side");
})();
