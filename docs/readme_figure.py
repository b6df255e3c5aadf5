"""Draw the README's figure: ``python docs/readme_figure.py`` writes docs/images/chart.png by Chromium."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

import tokenroof as tr

MODEL, LOAD = "DeepSeek-R1", {"input_tokens": 8192, "output_tokens": 1024}
NAMES = ("H200-SXM", "GB200-NVL72", "Vera Rubin NVL72")
WIDTH, HEIGHT = 1000, 640


def main() -> None:
    fronts = [
        tr.serving.frontier(name, MODEL, devices_max=72, ttft_max=10, **LOAD) for name in NAMES
    ]
    fronts.append(tr.serving.beside_lpx(MODEL, devices_max=16, **LOAD))
    figure = tr.plot.chart(fronts, tiers=tr.economics.gtc2026_tiers())
    title = f"{MODEL}, prompts of 8K tokens, answers of 1K: the best of all plans, with bands"
    figure.update_layout(
        width=WIDTH, height=HEIGHT + 60, margin={"t": 44}, title={"text": title, "x": 0.06}
    )  # fmt: skip
    figure.layout.updatemenus = ()
    target = Path(__file__).parent / "images" / "chart.png"
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "chart.html"
        page.write_text(
            figure.to_html(include_plotlyjs=True, config={"displayModeBar": False}).replace(
                "<body>", '<body style="margin:0">'
            )
        )
        command = ["chromium", "--headless", "--no-sandbox", "--hide-scrollbars", "--disable-gpu",
                   f"--window-size={WIDTH},{HEIGHT + 60}", "--virtual-time-budget=5000",
                   f"--screenshot={target}", page.as_uri()]  # fmt: skip
        subprocess.run(command, check=True, capture_output=True)


if __name__ == "__main__":
    main()
