"""vGPUs as the host sees them, the license as the guest does, and confidential computing."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.conftest import Machine, MachineFactory
    from tests.unit.simulator.conftest import ClientFactory

NOON = 1_700_000_000


def host(machine: MachineFactory) -> Machine:
    node = machine("t4", clock=NOON + 0.5)
    node.set("gpu 0", virtualization_mode=3, host_vgpu_mode=0)
    node.set("vgpu *", vgpu_type=230, vgpu_type_name="GRID T4-2Q", vgpu_type_class="Quadro", vm_driver_version="580.95")
    node.set("vgpu *", licensed=1, license_state=5, license_expiry_status=2, license_expiry=1_893_456_000)
    node.set("gpu 0 vgpu 900", uuid="vgpu-1", vm_id="desktop-1", fb_usage=2**30, sm_utilization=40)
    node.set("gpu 0 vgpu 3251634213", uuid="vgpu-2", vm_id="desktop-2", fb_usage=2**20, licensed=0, license_state=3)
    node.set(
        "gpu 0 vgpu 3251634213",
        license_expiry_status=0,
        license_expiry=None,
        vgpu_type=231,
        vgpu_type_name="GRID T4-4Q",
    )
    return node


def test_vgpus_of_a_host(machine: MachineFactory, nvml: ClientFactory) -> None:
    node = host(machine)
    ask = nvml(node)
    assert ask("[nvmlDeviceGetVirtualizationMode(h(0)), nvmlDeviceGetHostVgpuMode(h(0))]") == [3, 0]
    assert ask("nvmlDeviceGetActiveVgpus(h(0))") == [900, 3251634213]
    each = "[{}(v) for v in (900, 3251634213)]"
    assert ask("[(i.decode(), t) for i, t in map(nvmlVgpuInstanceGetVmID, (900, 3251634213))]") == [
        ["desktop-1", 1],
        ["desktop-2", 1],
    ]
    assert ask(each.format("nvmlVgpuInstanceGetUUID")) == ["vgpu-1", "vgpu-2"]
    assert ask(each.format("nvmlVgpuInstanceGetVmDriverVersion")) == ["580.95"] * 2
    assert ask(each.format("nvmlVgpuInstanceGetFbUsage")) == [2**30, 2**20]
    assert ask(each.format("nvmlVgpuInstanceGetType")) == [230, 231]
    assert ask(each.format("nvmlVgpuInstanceGetLicenseStatus")) == [1, 0]
    assert ask("nvmlVgpuTypeGetName(231)") == "GRID T4-4Q"
    assert ask("nvmlVgpuTypeGetClass(230)") == "Quadro"
    assert ask("nvmlVgpuTypeGetClass(5)") == "NVMLError_InvalidArgument"
    info = "(lambda i: [i.isLicensed, i.currentState, i.licenseExpiry.status, i.licenseExpiry.year])"
    assert ask(f"{info}(nvmlVgpuInstanceGetLicenseInfo_v2(900))") == [1, 5, 2, 2030]
    assert ask(f"{info}(nvmlVgpuInstanceGetLicenseInfo_v2(3251634213))") == [0, 3, 0, 0]
    assert ask("nvmlVgpuInstanceGetUUID(5)") == "NVMLError_NotFound"
    node.remove("gpu 0 vgpu 3251634213")
    node.set("gpu 0", state="lost")
    assert ask("nvmlVgpuInstanceGetUUID(3251634213)") == "NVMLError_NotFound"
    assert ask("nvmlVgpuInstanceGetUUID(900)") == "NVMLError_GpuIsLost"


def test_what_vgpus_use(machine: MachineFactory, nvml: ClientFactory) -> None:
    node = host(machine)
    node.set("gpu 0 vgpu 900", utilization_memory=20, encoder_utilization=3, decoder_utilization=4)
    ask = nvml(node)
    raw = (
        "(lambda n, a, t: (pynvml.nvmlLib.nvmlDeviceGetVgpuUtilization(h(0), c_ulonglong({since}), byref(t), byref(n),"
        " a), n.value, t.value, [(x.vgpuInstance, x.timeStamp, x.smUtil.uiVal, x.memUtil.uiVal, x.encUtil.uiVal,"
        " x.decUtil.uiVal) for x in a or []]))(c_uint({room}), {array}, c_uint())"
    )
    array = "(c_nvmlVgpuInstanceUtilizationSample_t * 2)()"
    assert ask(raw.format(since=0, room=0, array="None")) == [7, 2, 1, []]
    stamp = NOON * 1_000_000
    assert ask(raw.format(since=0, room=2, array=array)) == [
        *(0, 2, 1),
        [[900, stamp, 40, 20, 3, 4], [3251634213, stamp, 0, 0, 0, 0]],
    ]
    assert ask(raw.format(since=stamp, room=2, array=array))[0] == 6
    plain_card = machine("gtx1070")
    assert nvml(plain_card)("nvmlDeviceGetActiveVgpus(h(0))") == "NVMLError_NotSupported"
    plain_card.set("gpu 0", host_vgpu_mode=1)
    assert nvml(plain_card)("nvmlDeviceGetActiveVgpus(h(0))") == []


FEATURE = (
    "(lambda f: (f.isGridLicenseSupported, f.licensableFeaturesCount, *(lambda x: (x.featureCode, x.featureState,"
    " x.licenseInfo, x.productName, x.featureEnabled, x.licenseExpiry.status,"
    " [x.licenseExpiry.year, x.licenseExpiry.month, x.licenseExpiry.day]))(f.gridLicensableFeatures[0])))"
    "(nvmlDeviceGetGridLicensableFeatures(h(0)))"
)


def test_the_licence_of_a_guest(machine: MachineFactory, nvml: ClientFactory) -> None:
    node = machine("vgpu-guest")
    ask = nvml(node)
    product = "NVIDIA RTX Virtual Workstation"
    assert ask("nvmlDeviceGetVirtualizationMode(h(0))") == 2
    assert ask(FEATURE) == [1, 1, 2, 5, "Licensed", product, 1, 2, [2030, 1, 1]]
    node.set(
        "gpu 0", license_state=3, license_enabled=0, license_info="Unlicensed (Restricted)", license_expiry_status=0
    )
    assert ask(FEATURE) == [1, 1, 2, 3, "Unlicensed (Restricted)", product, 0, 0, [0, 0, 0]]
    assert nvml(machine("t4"))(FEATURE) == "NVMLError_NotSupported"


def test_confidential_computing(machine: MachineFactory, nvml: ClientFactory) -> None:
    node = machine("h100x8")
    node.set("machine", conf_compute_environment=2, conf_compute_feature=1, conf_compute_dev_tools_mode=1)
    node.set("machine", conf_compute_multi_gpu_mode=2, conf_compute_cpu_caps=3, conf_compute_gpus_ready=0)
    node.set("gpu 0", conf_compute_protected_size=111, conf_compute_unprotected_size=222)
    node.set("gpu 0", conf_compute_protected_total=900, conf_compute_protected_used=200)
    ask = nvml(node)
    assert ask("list(plain(nvmlSystemGetConfComputeState()).values())") == [2, 1, 1]
    assert ask("list(plain(nvmlSystemGetConfComputeCapabilities()).values())") == [3, 1]
    assert ask("nvmlSystemGetConfComputeGpusReadyState()") == 0
    settings = (
        "(lambda x: (setattr(x, 'version', {}), nvmlSystemGetConfComputeSettings(byref(x)),"
        " list(plain(x).values())[1:])[1:])(c_nvmlSystemConfComputeSettings_v1_t())"
    )
    assert ask(settings.format("nvmlSystemConfComputeSettings_v1")) == [0, [2, 1, 1, 2]]
    assert ask(settings.format(7))[0] == 25
    assert ask("list(plain(nvmlDeviceGetConfComputeMemSizeInfo(h(0))).values())") == [111, 222]
    assert ask("(lambda x: (x.total, x.used, x.free))(nvmlDeviceGetConfComputeProtectedMemoryUsage(h(0)))") == [
        *(900, 200),
        700,
    ]
    ask = nvml(machine("gtx1070"))
    for call in ("SystemGetConfComputeState()", "SystemGetConfComputeCapabilities()"):
        assert ask(f"nvml{call}") == "NVMLError_NotSupported"
