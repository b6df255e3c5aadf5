"""How the link of each kind of device joins its domain, by what its makers say of it."""

import pytest

import tokenroof as tr

# Link and generation -> devices of the catalogue -> the shape of their domain.
SHAPES = {
    "host": ("L40S", "T4", "RTX 5090", "Apple M4 Max", "Arc B580"),
    # NVLink 1 and 2 without a switch: hybrid cube meshes
    "mesh": ("P100-SXM2", "V100-SXM2-32GB", "Instinct MI50", "Instinct MI100", "Instinct MI250X", "Instinct MI300X",
             "Instinct MI355X", "Data Center GPU Max 1550", "Ascend 910B", "Gaudi 2", "Gaudi 3", "Groq 3 LPU (LPX rack)"),
    # NVSwitch 1 and 2 forward, and bridges join two
    "switched": ("A100-SXM4-80GB", "A800-SXM4-80GB", "RTX 3090", "H100-NVL", "H200-NVL", "Trainium3", "Ascend 910C",
                 "Instinct MI455X", "Graphcore GC200"),
    # NVSwitch 3 on adds up what it passes on (SHARP)
    "reducing": ("H100-SXM", "H200-SXM", "H20", "GH200-96GB", "B200-SXM", "GB200-NVL72", "Vera Rubin NVL72"),
    "torus2": ("TPU v3", "TPU v5e", "TPU v6e (Trillium)", "Trainium1", "Inferentia2", "Maia 200",
               "Tenstorrent Wormhole n300"),
    "torus3": ("TPU v4", "TPU v5p", "TPU v7 (Ironwood)", "Trainium2"),
}  # fmt: skip


@pytest.mark.parametrize("shape,names", SHAPES.items())
def test_the_shape_of_each_linked_device(shape, names):
    for name in names:
        assert tr.device(name).link_topology == shape, name


@pytest.mark.parametrize("generation,shape", [(None, "mesh"), (1, "mesh"), (2, "mesh"), (3, "switched"), (4, "reducing"),
                                              (6, "reducing")])  # fmt: skip
def test_generations_of_nvlink(generation, shape):
    assert tr.device("H100-SXM").replace(link_generation=generation).link_topology == shape


@pytest.mark.parametrize(
    "generation,shape", [(None, "torus2"), (2, "torus2"), (3, "torus3"), (4, "switched")]
)
def test_generations_of_neuronlink(generation, shape):
    assert tr.device("Trainium2").replace(link_generation=generation).link_topology == shape


@pytest.mark.parametrize(
    "size,shape", [(None, "torus2"), (256, "torus2"), (1024, "torus2"), (1025, "torus3")]
)
def test_sizes_of_tpu_domains(size, shape):
    assert tr.device("TPU v4").replace(link_domain_size=size).link_topology == shape
