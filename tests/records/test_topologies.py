"""How the link of each kind of device joins its domain, by what its makers say of it."""

import pytest

import tokenroof as tr
from tokenroof.catalogue import all_devices

# Link and generation -> devices of the catalogue -> the shape of their domain.
SHAPES = {
    "host": ("L40S", "T4", "RTX 5090", "Apple M4 Max", "Arc B580"),
    # NVLink 1 and 2 without a switch: hybrid cube meshes
    "mesh": ("P100-SXM2", "V100-SXM2-32GB", "Instinct MI50", "Instinct MI100", "Instinct MI250X", "Instinct MI300X",
             "Instinct MI355X", "V100-SXM2-16GB", "Instinct MI210", "Instinct MI300A", "Instinct MI325X",
             "Instinct MI350X", "Data Center GPU Max 1550", "Ascend 910B", "Gaudi 2", "Gaudi 3", "Groq 3 LPU (LPX rack)"),
    # NVSwitch 1 and 2 forward, and bridges join two
    "switched": ("A100-SXM4-80GB", "A800-SXM4-80GB", "RTX 3090", "H100-NVL", "H200-NVL", "Trainium3", "Ascend 910C",
                 "Instinct MI455X", "Graphcore GC200", "A30", "A40", "A100-SXM4-40GB", "A100-PCIe-80GB", "H100-PCIe",
                 "RTX 2080 Ti", "RTX A6000", "Ascend 950PR (Atlas 350)", "Ascend 950DT", "Ascend 960", "Ascend 970", "Grace CPU"),
    # NVSwitch 3 on adds up what it passes on (SHARP)
    "reducing": ("H100-SXM", "H200-SXM", "H20", "GH200-96GB", "B200-SXM", "GB200-NVL72", "Vera Rubin NVL72", "H800-SXM", "B100-SXM",
                 "B300-SXM", "GB300-NVL72", "Rubin Ultra NVL576"),
    "torus2": ("TPU v3", "TPU v5e", "TPU v6e (Trillium)", "Trainium1", "Inferentia2", "Maia 200",
               "Tenstorrent Wormhole n300", "TPU 8i", "Tenstorrent Blackhole p150"),
    "torus3": ("TPU v4", "TPU v5p", "TPU v7 (Ironwood)", "Trainium2", "TPU 8t"),
}  # fmt: skip


@pytest.mark.parametrize("shape,names", SHAPES.items())
def test_the_shape_of_each_linked_device(shape, names):
    for name in names:
        assert tr.device(name).link_topology == shape, name


def test_every_linked_device_has_its_shape_here():
    named = {tr.device(name).name for names in SHAPES.values() for name in names}
    assert {d.name for d in all_devices() if d.link_bandwidth is not None} <= named
    assert {d.link_topology for d in all_devices() if d.name not in named} == {"host"}


@pytest.mark.parametrize(
    "chips,shape", [(2, "torus2"), (1024, "torus2"), (1025, "torus3"), (9216, "torus3")]
)
def test_chips_beyond_a_plane_stand_in_space(chips, shape):
    assert tr.device("TPU v5p").replace(link_domain_size=chips).link_topology == shape


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
