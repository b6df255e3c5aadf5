// Draws each figure of a page when it comes near the view, and fits it to a narrow one.
"use strict";
(function () {
  const narrow = () => window.matchMedia("(max-width: 700px)").matches;
  const wrapped = (text, most) => text.split(" ").reduce((lines, word) => {
    const last = lines[lines.length - 1];
    if (last && (last + " " + word).length > most) lines.push(word);
    else lines[lines.length - 1] = last ? last + " " + word : word;
    return lines;
  }, [""]).join("<br>");
  // a legend goes below where the box is no wider than an article beside two columns
  const legendBelow = (figure, layout, width) => {
    const named = figure.data.filter((t) => t.showlegend !== false && t.visible !== false && t.name);
    if (layout.legend && layout.legend.orientation === "h") return;
    if (layout.showlegend === false || (named.length < 2 && layout.showlegend !== true)) return;
    const longest = Math.max(...named.map((t) => t.name.length));
    const perRow = Math.max(1, Math.floor((width - 60) / (longest * 6 + 50)));
    const rows = Math.ceil(named.length / perRow) * 20 + 12;
    const margin = Object.assign({ t: 24, b: 64 }, layout.margin);
    margin.b = Math.max(margin.b, 64);
    layout.legend = Object.assign({}, layout.legend, {
      orientation: "h", x: 0, xanchor: "left", yanchor: "top",
      y: -margin.b / (layout.height - margin.t - margin.b),
      font: { size: narrow() ? 10 : 11 }, traceorder: "normal",
    });
    layout.height += rows;
    margin.b += rows;
    margin.r = Math.min(margin.r === undefined ? 24 : margin.r, 24);
    layout.margin = margin;
  };
  const adapt = (figure, width) => {
    const layout = figure.layout;
    if (!layout.legend || layout.legend.orientation !== "h") layout.height = Math.min(layout.height || 460, 560);
    layout.autosize = true;
    layout.margin = layout.margin || { l: 72, r: 24, t: 32, b: 60 };
    delete layout.width;
    if (width < 560) {
      const given = layout.margin || {};
      layout.margin = { l: 44, r: 8, t: Math.max(24, given.t || 0), b: Math.max(56, given.b || 0) };
      layout.font = Object.assign({}, layout.font, { size: 11 });
      if (layout.title && layout.title.text) {
        layout.title.text = wrapped(layout.title.text, Math.floor(width / 7));
        layout.title.font = { size: 13 };
        layout.margin.t = Math.max(layout.margin.t, 28 + 18 * layout.title.text.split("<br>").length);
      }
      Object.keys(layout).filter((key) => /^[xy]axis\d*$/.test(key)).forEach((key) => {
        const axis = layout[key];
        if (!axis || !axis.title || !axis.title.text) return;
        axis.title.font = { size: 11 };
        axis.title.text = wrapped(axis.title.text, key[0] === "x" ? Math.floor((width - 80) / 6.2) : 36);
      });
    }
    if (width < 800) legendBelow(figure, layout, width);
    return layout;
  };
  const draw = (box) => {
    const source = box.querySelector("script");
    if (!source) return;
    const figure = JSON.parse(source.textContent);
    source.remove();
    Plotly.newPlot(box, figure.data, adapt(figure, box.clientWidth), {
      responsive: true, displaylogo: false, displayModeBar: narrow() ? false : "hover",
    });
  };
  const boxes = document.querySelectorAll(".tr-figure");
  if (!("IntersectionObserver" in window)) { boxes.forEach(draw); return; }
  const seen = new IntersectionObserver((entries) => entries.forEach((entry) => {
    if (entry.isIntersecting) { seen.unobserve(entry.target); draw(entry.target); }
  }), { rootMargin: "400px" });
  boxes.forEach((box) => seen.observe(box));
})();
