"""
Each more zero bit that is asked for halves the hits
====================================================

Real hashes by this machine's processor, counted under easier and harder targets; what
was found is hashed once more by the kernel to see how many zeros it has.
"""

import numpy as np
import plotly.graph_objects as go

import tokenroof as tr

header, count, zeros = bytes(range(80)), 500_000, np.arange(6, 15)
found = tr.mining.scan(header, count=count, target=2 ** (256 - int(zeros[0])))
headers = np.tile(np.frombuffer(header, np.uint8), (len(found.hits), 1))
headers[:, 76:] = np.array([[nonce] for nonce, _ in found.hits], "<u4").view(np.uint8)
digests = np.unpackbits(
    tr.kernels.sha256d(headers)[:, ::-1], axis=1
)  # the last byte leads
leading = digests.argmax(axis=1)
hits = np.array([(leading >= z).sum() for z in zeros])
expected = found.hashes * 0.5**zeros
assert hits[0] == len(found.hits)
assert (abs(hits - expected) < 4 * np.sqrt(expected)).all()

figure = go.Figure(go.Bar(x=zeros, y=hits, name="found"))
figure.add_scatter(x=zeros, y=expected, name="expected", mode="lines+markers")
figure.update_layout(
    template="none", xaxis_title="leading zero bits", yaxis_title="hits"
)
figure.update_yaxes(type="log")
figure.show()
