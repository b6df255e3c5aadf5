// The ladder at other prices, by the formulas of tokenroof.economics.same_meter: what is earned goes with its price and
// with the part that is sold, power with its price, all else stays.
const ladderAt = (ladder, asked) => ladder.rungs.map((rung) => {
  const use = asked.use / rung.share;
  const factor = { hashes: asked.hashprice / rung.price, gpu_hours: use, tokens: use * asked.tokens / rung.price }[rung.kind];
  const sold = factor === undefined ? 1 : factor;
  const dear = asked.power / ladder.price_per_mwh;
  const free = rung.rest.map((rest, t) => rest + rung.earned[t] * sold - rung.power[t] * dear);
  const npv = free.reduce((sum, cash, t) => sum + cash * Math.pow(1 + rung.rate, -t), 0);
  const revenue = rung.revenue[rung.start] * sold, power = rung.power[rung.start] * dear;
  const left = rung.earned[rung.start] * sold - rung.operation;
  const perDollar = rung.power[rung.start] / ladder.price_per_mwh;
  return {
    name: rung.name, capex: rung.capex, months: rung.months,
    revenue: revenue / rung.energy, margin: (revenue - power) / rung.energy, npv: npv / rung.mw,
    breakEven: perDollar > 0 ? left / perDollar : Infinity,
  };
});
if (typeof document !== "undefined") (function () {
  const ladder = JSON.parse(document.getElementById("ladder-rungs").textContent);
  const sliders = [...document.querySelectorAll("[data-ask]")];
  const money = (x, digits) => (x < 0 ? "−$" : "$") + Math.abs(x).toLocaleString("en", { maximumFractionDigits: digits });
  const asked = () => Object.fromEntries(sliders.map((s) => [s.dataset.ask, Number(s.value)]));
  const show = () => {
    const at = asked(), rungs = ladderAt(ladder, at);
    sliders.forEach((s) => {
      const x = Number(s.value);
      s.nextElementSibling.textContent = s.dataset.ask === "use" ? Math.round(100 * x) + " %" : money(x, x < 10 ? 2 : 1);
    });
    const body = document.querySelector("#ladder-table tbody");
    body.querySelectorAll("tr:not(.heads)").forEach((row, i) => {
      const r = rungs[i];
      const cells = [null, money(r.revenue, 1), money(r.margin, 1), isFinite(r.breakEven) ? money(r.breakEven, 1) : "tenant pays",
        money(r.npv / 1e6, 2) + " M", money(r.capex / 1e6, 2) + " M", "month " + r.months];
      cells.forEach((text, k) => { if (text !== null) (row.cells[k].querySelector("span") || row.cells[k]).textContent = text; });
    });
    const plot = document.getElementById("ladder"), positive = (x) => (isFinite(x) && x > 0 ? x : null);
    if (plot.data) {
      Plotly.restyle(plot, { x: [rungs.map((r) => positive(r.revenue)), rungs.map((r) => positive(r.breakEven))] });
      Plotly.relayout(plot, { "shapes[0].x0": Math.max(at.power, 1), "shapes[0].x1": Math.max(at.power, 1) });
    }
    return rungs;
  };
  sliders.forEach((s) => s.addEventListener("input", show));
  document.querySelector("[data-ask-reset]").addEventListener("click", () => {
    sliders.forEach((s) => { s.value = s.defaultValue; });
    show();
  });
  window.tokenroofLadder = { at: (given) => ladderAt(ladder, given), show, asked };
  show();
})();
if (typeof module !== "undefined") module.exports = { ladderAt };
