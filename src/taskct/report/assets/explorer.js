// The trade-off picture that answers: an arm's images, ROC curve and intervals, for an observer, a metric and a seed.
"use strict";
const explorer = (() => {
  const DIGITS = { rmse_hu: 2, psnr_db: 2, ssim: 3 };
  const UNITS = { rmse_hu: "RMSE (HU)", psnr_db: "PSNR (dB)", ssim: "SSIM" };
  const byId = (id) => document.getElementById(id);
  const controls = { observer: byId("observer"), measure: byId("measure"), seed: byId("seed"), arm: byId("arm") };
  const place = byId("plot"), rocPlace = byId("roc-plot"), card = byId("card");
  let svg = null, scales = null, dial = null;

  fillSelect(controls.observer, data.observers.map((one) => [one.key, one.label]), data.observer);
  fillSelect(controls.measure, data.measures.map((one) => [one.key, one.label.split(";")[0]]), "rmse_hu");
  fillSelect(controls.seed, data.seeds.map((seed) => [String(seed), String(seed)]), String(data.seed));
  controls.seed.parentElement.hidden = data.seeds.length < 2;

  // In the dark every colour is lighter, so that lines and labels stand out as they do on white.
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const onScreen = (hex) => (dark.matches ? `color-mix(in oklab, ${hex} 62%, white)` : hex);
  const color = (family) => (family.color === "#000000" ? "currentColor" : onScreen(family.color));
  const lowDose = data.arms[data.lowDose];

  // A drawing is one image with one name. The library names its parts too, which have no role that takes a name.
  function asImage(drawing, name) {
    drawing.setAttribute("role", "img");
    drawing.setAttribute("aria-label", name);
    unnameParts(drawing);
  }

  function unnameParts(drawing) {
    for (const part of drawing.querySelectorAll("[aria-label]")) {
      part.dataset.part = part.getAttribute("aria-label");
      part.removeAttribute("aria-label");
    }
  }

  // What the picture shows of some arms: one point each, with both intervals.
  function pointsOf(positions, family) {
    const { observer, measure } = state();
    return positions.map((i) => ({ i, arm: data.arms[i], family })).filter(({ arm }) => arm.auc[observer])
      .map((point) => {
        const [x, xLow, xHigh] = point.arm[measure], [y, yLow, yHigh, inLimit] = point.arm.auc[observer];
        return { ...point, x, xLow, xHigh, y, yLow, yHigh, inLimit };
      });
  }

  function state() {
    return { observer: controls.observer.value, measure: controls.measure.value, seed: controls.seed.value };
  }

  function families() {
    const { seed } = state();
    return data.families.map((family, f) => ({
      ...family,
      points: pointsOf(data.series[seed][f].arms, family),
      path: pointsOf(data.series[seed][f].line, family),
    })).filter((family) => family.points.length);
  }

  // The Pareto front of the observer as steps up to an edge; it is one of the quoted seed and of RMSE.
  function frontTo(edge) {
    const { observer, measure, seed } = state(), found = data.fronts[observer];
    if (!found || measure !== "rmse_hu" || seed !== String(data.seed)) return [];
    return [...found, [edge, ...found[found.length - 1].slice(1)]];
  }

  function tip(point) {
    const { measure } = state();
    return `${point.arm.label}\nAUC ${withInterval([point.y, point.yLow, point.yHigh], 3)}\n` +
      `${UNITS[measure]} ${withInterval([point.x, point.xLow, point.xHigh], DIGITS[measure])}`;
  }

  function draw() {
    const { observer, measure } = state();
    const shown = families(), all = shown.flatMap((family) => family.points);
    const someLimit = all.some((point) => point.inLimit);
    const auc = lowDose.auc[observer];
    const xs = all.flatMap((point) => [point.xLow, point.xHigh]);
    const [left, right] = padded(xs, 0.07), front = frontTo(right);
    const ys = [...all.flatMap((point) => [point.yLow, point.yHigh]), ...(auc ? auc.slice(1, 3) : []), ...front.flatMap((step) => step.slice(2))];
    const width = Math.max(280, Math.min(place.clientWidth, 760));
    const axis = data.observers.find((one) => one.key === observer).axis;
    svg = Plot.plot({
      width,
      height: Math.round(Math.max(300, width * 0.62)),
      marginLeft: 46, marginBottom: 40, marginTop: 26, marginRight: 12,
      style: { fontSize: "12px", background: "transparent" },
      x: { domain: [left, right], label: data.measures.find((one) => one.key === measure).label, labelAnchor: "center", ticks: 6, labelArrow: "none" },
      y: { domain: padded(ys, 0.06), label: axis, ticks: 6, labelArrow: "none" },
      marks: [
        ...(auc ? [
          Plot.rect([auc], { x1: left, x2: right, y1: (d) => d[1], y2: (d) => d[2], fill: "currentColor", fillOpacity: 0.08 }),
          Plot.ruleY([auc[0]], { stroke: "currentColor", strokeOpacity: 0.6, strokeDasharray: "5 3" }),
          Plot.text([auc[0]], { x: right, y: (d) => d, text: () => `low-dose images, ${UNITS[measure].replace(/ \((.+)\)/, "")} ${written(lowDose[measure][0], DIGITS[measure])}`, textAnchor: "end", dy: -8, fill: "currentColor", fillOpacity: 0.75 }),
        ] : []),
        ...(front.length ? [
          Plot.areaY(front, { x: (d) => d[0], y1: (d) => d[2], y2: (d) => d[3], curve: "step-after", fill: color(data.front), fillOpacity: 0.15, className: "front-band" }),
          Plot.line(front, { x: (d) => d[0], y: (d) => d[1], curve: "step-after", stroke: color(data.front), strokeWidth: 1.2, className: "front" }),
        ] : []),
        ...shown.filter((family) => family.line).map((family) =>
          Plot.line(family.path, { x: "x", y: "y", stroke: color(family), strokeDasharray: family.dash || null, strokeWidth: 1.2 })),
        ...shown.flatMap((family) => [
          Plot.ruleX(family.points, { x: "x", y1: "yLow", y2: "yHigh", stroke: color(family), strokeOpacity: 0.75 }),
          Plot.ruleY(family.points, { y: "y", x1: "xLow", x2: "xHigh", stroke: color(family), strokeOpacity: 0.75 }),
          Plot.dot(family.points, {
            x: "x", y: "y", symbol: family.symbol, r: 5, stroke: color(family), strokeWidth: 1.4,
            fill: (point) => (point.inLimit || !someLimit ? color(family) : "var(--paper)"),
          }),
        ]),
        Plot.tip(all, Plot.pointer({ x: "x", y: "y", title: tip, maxRadius: 40 })),
      ],
      symbol: { type: "identity" },
      color: { type: "identity" },
    });
    asImage(svg, `${axis} of ${controls.observer.selectedOptions[0].text} against ${UNITS[measure]}, one mark for each arm. The field "Arm" picks one.`);
    scales = { x: svg.scale("x"), y: svg.scale("y") };
    svg.addEventListener("input", () => {
      unnameParts(svg); // the tip is drawn anew each time
      if (svg.value) pick(svg.value.i);
    });
    place.replaceChildren(svg);
    label(all);
    legend(shown, front.length > 0);
    fillArms(shown);
    markDial();
    show();
  }

  function padded(values, share) {
    const low = Math.min(...values), high = Math.max(...values), room = share * (high - low) || 0.01;
    return [low - room, high + room];
  }

  // Arms that text speaks of always have a label, the others where there is room.
  function label(points) {
    const boxes = points.map((point) => boxAt(point, 0, 0, 10, 10));
    const rank = (point) => (data.quoted.indexOf(point.arm.name) + 1 || 99);
    for (const point of [...points].sort((a, b) => rank(a) - rank(b))) {
      const must = data.quoted.includes(point.arm.name);
      const text = must ? point.arm.label : point.arm.short;
      const size = 6.4 * text.length + 2;
      let best = null;
      for (const far of must ? [9, 22, 36, 52, 70] : [9]) {
        for (const [side, level] of [[-1, -1], [1, 1], [1, -1], [-1, 1]]) {
          const box = boxAt(point, side * (6 + size / 2), level * far, size, 14);
          const taken = boxes.filter((b) => box.l < b.r && b.l < box.r && box.t < b.b && b.t < box.b).length;
          const outside = box.l < 40 || box.r > svg.width.baseVal.value || box.t < 14;
          const cost = taken + (outside ? 9 : 0);
          if (!best || cost < best.cost) best = { cost, box, far };
        }
      }
      if (best.cost && !must) continue;
      boxes.push(best.box);
      if (best.far > 22) leader(point, best.box);
      d3.select(svg).append("text").attr("class", "arm-label").text(text)
        .attr("x", (best.box.l + best.box.r) / 2).attr("y", best.box.b - 3).attr("text-anchor", "middle")
        .attr("font-size", 11).attr("font-weight", must ? 700 : 400).attr("fill", color(point.family))
        .attr("stroke", "var(--paper)").attr("stroke-width", 3).attr("paint-order", "stroke").style("pointer-events", "none");
    }
  }

  // A thin line from a label that had to stand far off.
  function leader(point, box) {
    const x = scales.x.apply(point.x), y = scales.y.apply(point.y);
    d3.select(svg).append("line").attr("stroke", color(point.family)).attr("stroke-width", 0.7).attr("stroke-opacity", 0.6)
      .attr("x1", x).attr("y1", y).attr("x2", Math.max(box.l, Math.min(box.r, x))).attr("y2", box.t > y ? box.t : box.b);
  }

  function boxAt(point, dx, dy, width, height) {
    const x = scales.x.apply(point.x) + dx, y = scales.y.apply(point.y) + dy;
    return { l: x - width / 2, r: x + width / 2, t: y - height / 2, b: y + height / 2 };
  }

  function legend(shown, withFront) {
    const key = () => d3.create("svg").attr("width", 22).attr("height", 12).attr("aria-hidden", "true");
    const entry = (mark, text) => {
      const item = document.createElement("li");
      item.append(mark.node(), text);
      return item;
    };
    const entries = shown.map((family) => {
      const mark = key();
      if (family.line) mark.append("path").attr("d", "M0,6H22").attr("stroke", color(family)).attr("stroke-dasharray", family.dash || null);
      const symbols = { circle: d3.symbolCircle, square: d3.symbolSquare, diamond2: d3.symbolDiamond2, triangle: d3.symbolTriangle, triangle2: d3.symbolTriangle2, star: d3.symbolStar, plus: d3.symbolPlus, times: d3.symbolTimes };
      mark.append("path").attr("d", d3.symbol(symbols[family.symbol], 55)()).attr("transform", "translate(11,6)")
        .attr("stroke", color(family)).attr("fill", color(family));
      return entry(mark, family.label);
    });
    if (withFront) {
      const mark = key();
      mark.append("rect").attr("width", 22).attr("height", 12).attr("fill", color(data.front)).attr("fill-opacity", 0.15);
      mark.append("path").attr("d", "M0,9H11V4H22").attr("fill", "none").attr("stroke", color(data.front));
      entries.push(entry(mark, data.front.label));
    }
    byId("legend").replaceChildren(...entries);
  }

  function fillArms(shown) {
    const positions = [...new Set([data.lowDose, ...shown.flatMap((family) => family.points.map((point) => point.i))])];
    const named = (name) => positions.find((i) => data.arms[i].name === name);
    const chosen = named(selected === null ? data.chosen : data.arms[selected].name) ?? named(data.chosen) ?? positions[0];
    fillSelect(controls.arm, positions.map((i) => [String(i), data.arms[i].label]), String(chosen));
  }

  let selected = null;
  function pick(i) {
    controls.arm.value = String(i);
    show();
  }

  // The card of the arm that is picked: numbers, images, ROC curve.
  function show() {
    selected = Number(controls.arm.value);
    const arm = data.arms[selected], { observer } = state();
    card.querySelector("h3").textContent = arm.label;
    const rows = Object.keys(DIGITS).map((key) => [UNITS[key], withInterval(arm[key], DIGITS[key])]);
    for (const { key, label } of data.observers) {
      if (arm.auc[key]) rows.push([`AUC, ${label}${arm.auc[key][3] ? ", in the limit" : ""}`, withInterval(arm.auc[key], 3)]);
    }
    card.querySelector("dl").replaceChildren(...rows.flatMap(([name, value]) => {
      const dt = document.createElement("dt"), dd = document.createElement("dd");
      dt.textContent = name;
      dd.textContent = value;
      return [dt, dd];
    }));
    thumbs(arm);
    roc(arm, observer);
    ring();
  }

  function thumbs(arm) {
    const part = card.querySelector(".thumbs");
    const trial = Math.max(0, data.images.trials.findIndex((one) => one.present));
    const image = data.images.trials.length && arm.seed === data.seed || arm === lowDose ? pixels.ofArm(arm.name, trial) : null;
    part.hidden = !image;
    byId("no-images").hidden = Boolean(image);
    if (!image) return;
    const [reference, own] = part.querySelectorAll("canvas");
    const { ring: circle } = data.images.trials[trial];
    drawImage(reference, pixels.ofArm("reference", trial), data.images.window, circle);
    drawImage(own, image, data.images.window, circle);
    part.querySelector("#thumb-name").textContent = arm.label;
  }

  function roc(arm, observer) {
    const control = data.arms.find((one) => one.name === data.control && one.seed === arm.seed) ?? arm;
    const curves = [[lowDose, "currentColor", "5 3"], [control, onScreen("#0072B2"), "1.5 2.5"], [arm, onScreen("#D55E00"), null]]
      .filter(([one, ], i, list) => one.roc[observer] && list.findIndex(([other]) => other === one) === i || one === arm && one.roc[observer]);
    rocPlace.hidden = !arm.roc[observer];
    if (rocPlace.hidden) return;
    const lines = curves.map(([one, stroke, dash]) => {
      const [fpf, tpf] = one.roc[observer];
      return Plot.line(fpf, { x: fpf.map((v) => v / data.rocScale), y: tpf.map((v) => v / data.rocScale), stroke, strokeDasharray: dash });
    });
    const plot = Plot.plot({
      width: 240, height: 240, marginLeft: 40, marginBottom: 36, marginTop: 20, marginRight: 8,
      style: { fontSize: "11px", background: "transparent" },
      x: { domain: [0, 1], label: "false-positive fraction", labelAnchor: "center", ticks: 3, labelArrow: "none" },
      y: { domain: [0, 1], label: "true-positive fraction", ticks: 3, labelArrow: "none" },
      color: { type: "identity" },
      marks: [Plot.line([[0, 0], [1, 1]], { stroke: "currentColor", strokeOpacity: 0.2 }), ...lines],
    });
    asImage(plot, `ROC curves of ${controls.observer.selectedOptions[0].text}: ${curves.map(([one]) => one.label).join(", ")}`);
    byId("roc-key").textContent = `ROC at this study's training trials: ${curves.map(([one, , dash]) => `${one.label} (${{ "5 3": "dashed", "1.5 2.5": "dotted" }[dash] ?? "solid"}, AUC ${written(one.atN[observer][0], 3)})`).join("; ")}.`;
    rocPlace.replaceChildren(plot);
  }

  function ring() {
    d3.select(svg).selectAll(".picked").remove();
    const { observer, measure } = state(), arm = data.arms[selected];
    if (!arm.auc[observer] || selected === data.lowDose) return;
    d3.select(svg).append("circle").attr("class", "picked").attr("r", 10).attr("fill", "none").attr("stroke", "currentColor")
      .attr("cx", scales.x.apply(arm[measure][0])).attr("cy", scales.y.apply(arm.auc[observer][0])).style("pointer-events", "none");
  }

  // The arms that were measured on either side of a place of a dial, or the one that was measured there.
  function around(which, at, key) {
    const { arms, at: places } = data.images.dials[which];
    const known = arms.map((i, k) => ({ at: places[k], arm: data.arms[i] })).filter(({ arm }) => key(arm) !== undefined)
      .sort((a, b) => a.at - b.at);
    const after = known.findIndex((one) => one.at >= at);
    if (after < 0) return [];
    if (known[after].at === at) return [known[after]];
    return after === 0 ? [] : [known[after - 1], known[after]];
  }

  // Where it lies on the curve, on a straight line between them; null where it was not measured on both sides.
  function along(which, at, key) {
    const [a, b] = around(which, at, key);
    if (!a || !b) return a ? key(a.arm) : null;
    const share = (at - a.at) / (b.at - a.at);
    return (1 - share) * key(a.arm) + share * key(b.arm);
  }

  function dialAt(which, at) {
    dial = { which, at };
    markDial();
    const { observer } = state();
    return {
      rmse: along(which, at, (arm) => arm.rmse_hu[0]),
      auc: along(which, at, (arm) => arm.auc[observer]?.[0]),
      observer: controls.observer.selectedOptions[0].text,
      nearest: around(which, at, (arm) => arm.rmse_hu[0]).map(({ arm }) => inWords(arm)),
    };
  }

  function inWords(arm) {
    const auc = arm.auc[state().observer];
    return `${arm.label}: RMSE ${withInterval(arm.rmse_hu, DIGITS.rmse_hu)} HU${auc ? `, AUC ${withInterval(auc, 3)}` : ""}`;
  }

  function markDial() {
    d3.select(svg).selectAll(".dial").remove();
    if (!dial || state().seed !== String(data.seed)) return;
    const { observer, measure } = state();
    const x = along(dial.which, dial.at, (arm) => arm[measure][0]), y = along(dial.which, dial.at, (arm) => arm.auc[observer]?.[0]);
    if (x === null || y === null) return;
    d3.select(svg).append("path").attr("class", "dial").attr("d", d3.symbol(d3.symbolDiamond, 150)()).attr("fill", "none")
      .attr("stroke", "currentColor").attr("stroke-width", 2).attr("transform", `translate(${scales.x.apply(x)},${scales.y.apply(y)})`);
  }

  for (const name of ["observer", "measure", "seed"]) controls[name].addEventListener("change", draw);
  controls.arm.addEventListener("change", show);
  dark.addEventListener("change", draw);
  draw();
  let drawnAt = place.clientWidth;
  new ResizeObserver(() => {
    if (Math.abs(place.clientWidth - drawnAt) > 1) {
      drawnAt = place.clientWidth;
      draw();
    }
  }).observe(place);
  return { dialAt };
})();
