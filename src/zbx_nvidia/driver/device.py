"""One GPU, with a method for each reading. The catalog's column `reader` names the method.

A method returns a value in base units, or a NamedTuple of values that are present or absent together. Each can raise
`Absent`, `Refused` or `Lost` of `calls`; a docstring says if `NotNow` too. The docstring also names NVML's call, and
where nvidia-smi shows the value: a field of `--query-gpu`, or a line of another command.
"""

from __future__ import annotations

import ctypes

import pynvml

from zbx_nvidia.driver import buffers, native
from zbx_nvidia.driver.calls import Absent, NotNow, Refused, call, clean, number, text
from zbx_nvidia.driver.links import LinkReaders
from zbx_nvidia.driver.memory import MemoryReaders
from zbx_nvidia.driver.power import PowerReaders
from zbx_nvidia.driver.readings import Confidential, Platform, Utilization
from zbx_nvidia.driver.sharing import SharingReaders
from zbx_nvidia.driver.thermal import ThermalReaders
from zbx_nvidia.kernel import bus

_ARCHITECTURES = {
    pynvml.NVML_DEVICE_ARCH_KEPLER: "Kepler",
    pynvml.NVML_DEVICE_ARCH_MAXWELL: "Maxwell",
    pynvml.NVML_DEVICE_ARCH_PASCAL: "Pascal",
    pynvml.NVML_DEVICE_ARCH_VOLTA: "Volta",
    pynvml.NVML_DEVICE_ARCH_TURING: "Turing",
    pynvml.NVML_DEVICE_ARCH_AMPERE: "Ampere",
    pynvml.NVML_DEVICE_ARCH_ADA: "Ada Lovelace",
    pynvml.NVML_DEVICE_ARCH_HOPPER: "Hopper",
    pynvml.NVML_DEVICE_ARCH_BLACKWELL: "Blackwell",
}

_BRANDS = {
    pynvml.NVML_BRAND_QUADRO: "Quadro",
    pynvml.NVML_BRAND_TESLA: "Tesla",
    pynvml.NVML_BRAND_NVS: "NVS",
    pynvml.NVML_BRAND_GRID: "GRID",
    pynvml.NVML_BRAND_GEFORCE: "GeForce",
    pynvml.NVML_BRAND_TITAN: "Titan",
    pynvml.NVML_BRAND_NVIDIA: "NVIDIA",
    pynvml.NVML_BRAND_QUADRO_RTX: "Quadro RTX",
    pynvml.NVML_BRAND_NVIDIA_RTX: "NVIDIA RTX",
    pynvml.NVML_BRAND_GEFORCE_RTX: "GeForce RTX",
    pynvml.NVML_BRAND_TITAN_RTX: "Titan RTX",
}


class Device(ThermalReaders, PowerReaders, MemoryReaders, LinkReaders, SharingReaders):
    """A GPU with a handle. The readers of large subjects are in its base classes.

    A Device is for one round of readings: a value that several readers need is read once. Create a new one per round.

    Args:
        index: Its place in the driver's order.

    Raises:
        Lost: The driver counts the GPU but has lost it.
        Refused: The driver gives no handle.
    """

    # -- inventory ---------------------------------------------------------------------------------------------------
    def index(self) -> int:
        """Place in the driver's order. nvidia-smi: index."""
        return self._index

    def name(self) -> str:
        """Product name. nvmlDeviceGetName. nvidia-smi: name."""
        return text(pynvml.nvmlDeviceGetName, self._handle)

    def uuid(self) -> str:
        """Identity, `GPU-` and 36 characters. nvmlDeviceGetUUID. nvidia-smi: uuid."""
        return text(pynvml.nvmlDeviceGetUUID, self._handle)

    def pci(self) -> str:
        """PCI address, domain:bus:device.function. nvmlDeviceGetPciInfo_v3. nvidia-smi: pci.bus_id."""
        return self._address()

    def asleep(self) -> int:
        """0, as the card is being read; absent if the kernel may not suspend it. sysfs: power/control.

        Raises NotNow if the card does not return its address.
        """
        try:
            pci = self.pci()
        except Refused as error:
            raise NotNow(error.code, error.message) from None
        if not bus.may_sleep(pci):
            raise Absent(0, "it never sleeps")
        return 0

    def serial(self) -> str:
        """Serial number of the board; absent on GeForce. nvmlDeviceGetSerial. nvidia-smi: serial."""
        return text(pynvml.nvmlDeviceGetSerial, self._handle)

    def module_id(self) -> int:
        """Number of the module on its baseboard, from 1; 0 or 1 on PCIe cards. nvmlDeviceGetModuleId. Since r535.

        nvidia-smi -q: GPU Platform Info, Module Id.
        """
        # Without it, pynvml writes into one and the same variable for all threads: GPU 1 was seen with GPU 3's number.
        own = ctypes.c_uint()
        return number(call(pynvml.nvmlDeviceGetModuleId, self._handle, own))

    def platform(self) -> Platform:
        """Place in the rack. nvmlDeviceGetPlatformInfo. Since r570, boards of Blackwell and newer.

        nvidia-smi -q: GPU Platform Info.
        """
        chassis, slot, tray = native.platform(self._handle)
        return Platform(clean(chassis), slot, tray)

    def pdi(self) -> str:
        """Identity of the chip, in hexadecimal; no other board has it. nvmlDeviceGetPdi. Since r580.

        nvidia-smi -q: GPU PDI.
        """
        return f"0x{call(pynvml.nvmlDeviceGetPdi, self._handle):x}"

    def vbios(self) -> str:
        """Version of the VBIOS. nvmlDeviceGetVbiosVersion. nvidia-smi: vbios_version."""
        return text(pynvml.nvmlDeviceGetVbiosVersion, self._handle)

    def architecture(self) -> str:
        """Generation of the chip. nvmlDeviceGetArchitecture. nvidia-smi -q: Product Architecture."""
        return _ARCHITECTURES.get(code := number(call(pynvml.nvmlDeviceGetArchitecture, self._handle)), f"{code}")

    def brand(self) -> str:
        """Product line. nvmlDeviceGetBrand. nvidia-smi -q: Product Brand."""
        code = call(pynvml.nvmlDeviceGetBrand, self._handle)
        if code == pynvml.NVML_BRAND_UNKNOWN:
            raise Absent(0, "unknown brand")
        return _BRANDS.get(code, f"{code}")

    def board_part_number(self) -> str:
        """Part number to order a spare by. nvmlDeviceGetBoardPartNumber. nvidia-smi -q: Board Part Number."""
        return text(pynvml.nvmlDeviceGetBoardPartNumber, self._handle)

    def inforom(self) -> str:
        """Version of the configuration memory. nvmlDeviceGetInforomImageVersion. nvidia-smi: inforom.img."""
        return text(pynvml.nvmlDeviceGetInforomImageVersion, self._handle)

    def gsp_firmware(self) -> str:
        """Firmware version of the GPU system processor. nvmlDeviceGetGspFirmwareVersion. Since r515.

        nvidia-smi -q: GSP Firmware Version.
        """
        return text(pynvml.nvmlDeviceGetGspFirmwareVersion, self._handle)

    def numa_node(self) -> int:
        """NUMA node that consists of the GPU's memory; absent if there is none. nvmlDeviceGetNumaNodeId."""
        node: int = call(pynvml.nvmlDeviceGetNumaNodeId, self._handle)
        if node < 0:
            raise Absent(0, "no node")
        return number(node)

    # -- utilization -------------------------------------------------------------------------------------------------
    def utilization(self) -> Utilization:
        """GPU and memory controller, in %. nvmlDeviceGetUtilizationRates.

        nvidia-smi: utilization.gpu, utilization.memory.
        """
        rates = call(pynvml.nvmlDeviceGetUtilizationRates, self._handle)
        return Utilization(number(rates.gpu), number(rates.memory))

    def encoder_utilization(self) -> int:
        """Video encoder, in %. nvmlDeviceGetEncoderUtilization. nvidia-smi: utilization.encoder."""
        return number(call(pynvml.nvmlDeviceGetEncoderUtilization, self._handle)[0])

    def decoder_utilization(self) -> int:
        """Video decoder, in %. nvmlDeviceGetDecoderUtilization. nvidia-smi: utilization.decoder."""
        return number(call(pynvml.nvmlDeviceGetDecoderUtilization, self._handle)[0])

    def jpeg_utilization(self) -> int:
        """JPEG decoder, in %. nvmlDeviceGetJpgUtilization. Since r535. nvidia-smi: utilization.jpeg."""
        return number(call(pynvml.nvmlDeviceGetJpgUtilization, self._handle)[0])

    def ofa_utilization(self) -> int:
        """Optical flow accelerator, in %. nvmlDeviceGetOfaUtilization. Since r535. nvidia-smi: utilization.ofa."""
        return number(call(pynvml.nvmlDeviceGetOfaUtilization, self._handle)[0])

    # -- the driver's own samples: NotNow if it has none --------------------------------------------------------------
    def sampled_utilization(self) -> buffers.Summary:
        """GPU utilization, in %. nvmlDeviceGetSamples. nvidia-smi -q: GPU Utilization Samples."""
        return self._buffered("utilization")

    def sampled_power(self) -> buffers.Summary:
        """Draw of the board, in W. nvmlDeviceGetSamples. nvidia-smi -q: Power Samples."""
        return self._buffered("power")

    def sampled_clock_sm(self) -> buffers.Summary:
        """Clock of the streaming multiprocessors, in Hz. nvmlDeviceGetSamples. nvidia-smi -q: SM Clock Samples."""
        return self._buffered("clock_sm")

    def _buffered(self, name: str) -> buffers.Summary:
        return buffers.summary([value for _, value in buffers.read(self._handle, name)])

    # -- modes -------------------------------------------------------------------------------------------------------
    def persistence_mode(self) -> int:
        """1 if the driver stays loaded without clients. nvmlDeviceGetPersistenceMode. nvidia-smi: persistence_mode."""
        return int(call(pynvml.nvmlDeviceGetPersistenceMode, self._handle))

    def compute_mode(self) -> int:
        """nvmlComputeMode_t: 0 for shared by all. nvmlDeviceGetComputeMode. nvidia-smi: compute_mode."""
        return int(call(pynvml.nvmlDeviceGetComputeMode, self._handle))

    def display_active(self) -> int:
        """1 if a screen is driven. nvmlDeviceGetDisplayActive. nvidia-smi: display_active."""
        return int(call(pynvml.nvmlDeviceGetDisplayActive, self._handle))

    def display_mode(self) -> int:
        """1 if a screen is attached; absent on newer drivers. nvmlDeviceGetDisplayMode.

        nvidia-smi: display_attached.
        """
        return int(call(pynvml.nvmlDeviceGetDisplayMode, self._handle))

    def accounting_mode(self) -> int:
        """1 if the driver accounts for processes. nvmlDeviceGetAccountingMode. nvidia-smi: accounting.mode."""
        return int(call(pynvml.nvmlDeviceGetAccountingMode, self._handle))

    def confidential(self) -> Confidential:
        """Confidential computing, as set for the whole machine. nvmlSystemGetConfComputeState.

        nvidia-smi conf-compute -f, -e, -d.
        """
        state = call(pynvml.nvmlSystemGetConfComputeState)
        return Confidential(number(state.ccFeature), number(state.environment), number(state.devToolsMode))
