"""vidur: the simulator as it is installed, asked for its default device and model."""

import sys

import timing
from vidur.main import main

timing.work()

sys.argv = ["vidur"]
began = timing.spent()
main()
timing.say({"poisson_s": timing.spent() - began})
