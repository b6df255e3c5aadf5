"""
One kernel, three libraries, the same labels out as in
======================================================

Kernels are ufuncs: pandas, xarray and Dask keep their own labels and chunks through
them, and agree to the bit.
"""

import dask.array as da
import numpy as np
import pandas as pd
import plotly.express as px
import xarray as xr

import tokenroof as tr

cards = pd.DataFrame(
    {"peak": [989.4e12, 2250e12], "bandwidth": [4.8e12, 8e12]}, ["H200", "B200"]
)
intensity = np.geomspace(1, 10_000, 64)

devices = cards.to_xarray().rename(index="device")
work = xr.DataArray(intensity, dims="intensity", coords={"intensity": intensity})
by_name = tr.kernels.attainable(devices.peak, devices.bandwidth, work)
lazy = tr.kernels.attainable(*cards.loc["H200"], da.from_array(intensity, chunks=16))
series = tr.kernels.attainable(cards.peak, cards.bandwidth, intensity[9])

assert by_name.dims == ("device", "intensity")
assert lazy.numblocks == (4,)
assert (lazy.compute() == by_name.sel(device="H200")).all()
assert list(series.index) == ["H200", "B200"]
assert (series == by_name[:, 9].to_series()).all()
frame = by_name.rename("FLOP/s").to_dataframe().reset_index()
px.line(
    frame,
    x="intensity",
    y="FLOP/s",
    color="device",
    log_x=True,
    log_y=True,
    template="none",
).show()
