// One generation over another, by the formulas of tokenroof.plot.ratio: middles, and the ends of both against each other.
const ratioOf = (known, over, under, by) => {
  const one = known.yields[by][over], other = known.yields[by][under], dear = known.kinds[by] === "dollars";
  const divided = (a, b) => a.map((x, i) => {
    if (x === null || b[i] === null) return null;
    return dear ? b[i] / x : x / b[i];
  });
  return { middle: divided(one[0], other[0]), low: divided(one[1], other[2]), high: divided(one[2], other[1]) };
};
if (typeof document !== "undefined") (function () {
  const known = JSON.parse(document.getElementById("ratio-yields").textContent);
  const pick = Object.fromEntries([...document.querySelectorAll("[data-ratio]")].map((s) => [s.dataset.ratio, s]));
  const note = document.querySelector("[data-ratio-note]");
  const shades = (label) => {
    const line = document.getElementById("chart").data.find((t) => t.name === label && t.mode !== "none" && (t.line || t.marker));
    return (line && ((line.line && line.line.color) || line.marker.color)) || "#0072B2";
  };
  const ticks = (low, high) => {
    const values = [];
    for (let e = Math.floor(low); e <= Math.ceil(high); e++) [1, 2, 5].forEach((d) => values.push(d * Math.pow(10, e)));
    return values;
  };
  const show = () => {
    const [over, under, by] = [Number(pick.over.value), Number(pick.under.value), pick.by.value];
    const { middle, low, high } = ratioOf(known, over, under, by);
    const seen = known.speeds.map((s, i) => i).filter((i) => middle[i] !== null);
    note.textContent = seen.length ? "" : "Nothing says " + by + " of both at one speed.";
    if (!seen.length) return middle;
    const x = seen.map((i) => known.speeds[i]), y = seen.map((i) => middle[i]);
    const down = seen.map((i) => (low[i] === null ? 1e-9 : low[i])), up = seen.map((i) => (high[i] === null ? 1e9 : high[i]));
    const shade = shades(known.names[over]), plot = document.getElementById("ratio");
    const least = Math.log10(Math.min(1, ...y) / 4), most = Math.log10(4 * Math.max(1, ...y));
    const values = ticks(least, most);
    plot.data[0].x = [...x, ...x.slice().reverse()]; plot.data[0].y = [...up, ...down.slice().reverse()];
    plot.data[0].fillcolor = shade.startsWith("#") ? shade + "26" : plot.data[0].fillcolor;
    plot.data[1].x = x; plot.data[1].y = y; plot.data[1].line.color = shade;
    const title = known.kinds[by] === "dollars" ? "times as cheap" : "times the tokens/s per MW";
    Plotly.react(plot, plot.data, Object.assign({}, plot.layout, {
      title: Object.assign({}, plot.layout.title, { text: known.names[over] + "<br>over " + known.names[under] + ", " + by }),
      xaxis: Object.assign({}, plot.layout.xaxis, { range: [Math.log10(x[0] / 1.1), Math.log10(x[x.length - 1] * 1.1)] }),
      yaxis: Object.assign({}, plot.layout.yaxis, {
        range: [least, most], tickvals: values, ticktext: values.map((v) => String(Number(v.toPrecision(3)))),
        title: Object.assign({}, plot.layout.yaxis.title, { text: title }),
      }),
    }));
    return middle;
  };
  Object.values(pick).forEach((s) => s.addEventListener("change", show));
  window.tokenroofRatio = { of: (over, under, by) => ratioOf(known, over, under, by), show, known };
  show();
})();
if (typeof module !== "undefined") module.exports = { ratioOf };
