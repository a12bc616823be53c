"""XID errors: what the driver's error codes mean, and what NVIDIA says must be done about each.

From NVIDIA's public list (https://docs.nvidia.com/deploy/xid-errors/), in our own words. The class of a code is
its "immediate action" there: RESTART_APP is APPLICATION, IGNORE is NOTE, RESTART_BM and RESTART_VM are RESTART, and
what needs a workflow, mechanics, an update or support is SUPPORT. 43 is APPLICATION, because an application has ended.
The list calls some codes unused that cards before Ampere had; the list for those cards asks for support. Codes without
an action, 162 and above, are classed by their description. The class of a code decides which alert it raises; the
macros of the template override that.
"""

from __future__ import annotations

from typing import NamedTuple

from zbx_nvidia.catalog.xid_actions import APPLICATION, NOTE, RESET, RESTART, SUPPORT, Class


class Xid(NamedTuple):
    """One code.

    Attributes:
        code: As the kernel log has it.
        meaning: What happened, short enough for a value map (64 characters).
        kind: What must be done.
        notify: Whether it raises an alert for information although nothing must be done.
    """

    code: int
    meaning: str
    kind: Class
    notify: bool = False


XIDS = (
    Xid(1, "Invalid or corrupted push buffer stream", SUPPORT),
    Xid(2, "Invalid or corrupted push buffer stream", SUPPORT),
    Xid(3, "Invalid or corrupted push buffer stream", SUPPORT),
    Xid(4, "Invalid or corrupted push buffer stream", SUPPORT),
    Xid(5, "Unused", NOTE),
    Xid(6, "Invalid or corrupted push buffer stream", SUPPORT),
    Xid(7, "Invalid or corrupted push buffer address", SUPPORT),
    Xid(8, "GPU stopped processing", APPLICATION),
    Xid(9, "Driver error programming the GPU", SUPPORT),
    Xid(11, "Invalid or corrupted push buffer stream", APPLICATION),
    Xid(12, "Driver error handling a GPU exception", SUPPORT),
    Xid(13, "Graphics engine exception", APPLICATION),
    Xid(14, "Injected error, for tests", NOTE),
    Xid(16, "Display engine hung", SUPPORT),
    Xid(18, "Bus mastering disabled in PCI configuration space", SUPPORT),
    Xid(19, "Display engine error", SUPPORT),
    Xid(20, "Invalid or corrupted MPEG push buffer", SUPPORT),
    Xid(21, "Invalid or corrupted motion estimation push buffer", SUPPORT),
    Xid(22, "Invalid or corrupted video processor push buffer", SUPPORT),
    Xid(24, "GPU semaphore timeout", SUPPORT),
    Xid(25, "Invalid or illegal push buffer stream", APPLICATION),
    Xid(26, "Frame buffer timeout", SUPPORT),
    Xid(27, "Video processor exception", SUPPORT),
    Xid(28, "Video processor exception", SUPPORT),
    Xid(29, "Video processor exception", SUPPORT),
    Xid(30, "GPU semaphore access error", SUPPORT),
    Xid(31, "GPU memory page fault", APPLICATION),
    Xid(32, "Invalid or corrupted push buffer stream", APPLICATION),
    Xid(33, "Internal microcontroller error", SUPPORT),
    Xid(34, "Video processor exception", SUPPORT),
    Xid(35, "Video processor exception", SUPPORT),
    Xid(36, "Video processor exception", SUPPORT),
    Xid(37, "Driver firmware error", NOTE),
    Xid(38, "Driver firmware error", NOTE),
    Xid(39, "Copy engine exception", APPLICATION),
    Xid(40, "Copy engine exception", APPLICATION),
    Xid(41, "Copy engine exception", APPLICATION),
    Xid(42, "Video processor exception", SUPPORT),
    Xid(43, "GPU stopped processing an application's channel", APPLICATION),
    Xid(44, "Graphics engine fault during context switch", NOTE),
    Xid(45, "Channels torn down after an earlier error", NOTE),
    Xid(46, "GPU stopped processing", RESET),
    Xid(47, "Video processor exception", SUPPORT),
    Xid(48, "Double bit ECC error", SUPPORT),
    Xid(54, "Auxiliary power not connected", SUPPORT),
    Xid(56, "Display engine error", SUPPORT),
    Xid(57, "Error programming the video memory interface", SUPPORT),
    Xid(58, "Unstable video memory interface", SUPPORT),
    Xid(59, "Internal microcontroller error", SUPPORT),
    Xid(60, "Security engine (SEC2) exception", APPLICATION),
    Xid(61, "Internal microcontroller warning", SUPPORT),
    Xid(62, "Internal microcontroller halt", RESET),
    Xid(63, "Row remapping or page retirement recorded", NOTE, notify=True),
    Xid(64, "Row remapping or page retirement failed", RESET),
    Xid(65, "Video processor exception", SUPPORT),
    Xid(66, "Illegal access by driver", NOTE),
    Xid(67, "Illegal access by driver", NOTE),
    Xid(68, "Video decoder exception", APPLICATION),
    Xid(69, "Graphics engine class error", APPLICATION),
    Xid(70, "Copy engine 3: unknown error", APPLICATION),
    Xid(71, "Copy engine 4: unknown error", APPLICATION),
    Xid(72, "Copy engine 5: unknown error", APPLICATION),
    Xid(73, "Video encoder 2 error", SUPPORT),
    Xid(74, "NVLink error", SUPPORT),
    Xid(75, "Copy engine 6: unknown error", APPLICATION),
    Xid(76, "Copy engine 7: unknown error", APPLICATION),
    Xid(77, "Copy engine 8: unknown error", APPLICATION),
    Xid(78, "vGPU start error", SUPPORT),
    Xid(79, "GPU has fallen off the bus", RESTART),
    Xid(80, "Corrupted data sent to the GPU", APPLICATION),
    Xid(81, "VGA subsystem error", SUPPORT),
    Xid(82, "JPEG decoder error", APPLICATION),
    Xid(83, "Video decoder 1 error", APPLICATION),
    Xid(84, "Video decoder 2 error", APPLICATION),
    Xid(85, "Copy engine 9: unknown error", APPLICATION),
    Xid(86, "Optical flow accelerator error", APPLICATION),
    Xid(88, "Video decoder 3 error", APPLICATION),
    Xid(89, "Video decoder 4 error", APPLICATION),
    Xid(92, "High rate of single bit ECC errors", NOTE),
    Xid(93, "Write limit of the InfoROM exceeded", NOTE),
    Xid(94, "Contained memory error", APPLICATION, notify=True),
    Xid(95, "Uncontained memory error", RESET),
    Xid(96, "Video decoder 5 error", APPLICATION),
    Xid(97, "Video decoder 6 error", APPLICATION),
    Xid(98, "Video decoder 7 error", APPLICATION),
    Xid(99, "JPEG decoder 1 error", APPLICATION),
    Xid(100, "JPEG decoder 2 error", APPLICATION),
    Xid(101, "JPEG decoder 3 error", APPLICATION),
    Xid(102, "JPEG decoder 4 error", APPLICATION),
    Xid(103, "JPEG decoder 5 error", APPLICATION),
    Xid(104, "JPEG decoder 6 error", APPLICATION),
    Xid(105, "JPEG decoder 7 error", APPLICATION),
    Xid(106, "SMBPBI test message", NOTE),
    Xid(107, "SMBPBI test message, silent", NOTE),
    Xid(108, "NVLink: remote address not translated", NOTE),
    Xid(109, "Context switch timeout", RESET),
    Xid(110, "Security fault", RESET),
    Xid(111, "Display: bundle error", SUPPORT),
    Xid(112, "Display supervisor error", SUPPORT),
    Xid(113, "Display link training failed", SUPPORT),
    Xid(114, "Display pipeline underflow", SUPPORT),
    Xid(115, "Display core channel error", SUPPORT),
    Xid(116, "Display window channel error", SUPPORT),
    Xid(117, "Display cursor channel error", SUPPORT),
    Xid(118, "Display pixel pipeline error", SUPPORT),
    Xid(119, "GSP: timeout of a remote procedure call", RESET),
    Xid(120, "GSP: error", RESET),
    Xid(121, "Chip-to-chip link (C2C): corrected errors", NOTE),
    Xid(122, "SPI flash: reading failed", SUPPORT),
    Xid(123, "SPI flash: writing failed", SUPPORT),
    Xid(124, "SPI flash: erasing failed", SUPPORT),
    Xid(125, "InfoROM: file system error", SUPPORT),
    Xid(126, "Copy engine 10: unknown error", APPLICATION),
    Xid(127, "Copy engine 11: unknown error", APPLICATION),
    Xid(128, "Copy engine 12: unknown error", APPLICATION),
    Xid(129, "Copy engine 13: unknown error", APPLICATION),
    Xid(130, "Copy engine 14: unknown error", APPLICATION),
    Xid(131, "Copy engine 15: unknown error", APPLICATION),
    Xid(132, "Copy engine 16: unknown error", APPLICATION),
    Xid(133, "Copy engine 17: unknown error", APPLICATION),
    Xid(134, "Copy engine 18: unknown error", APPLICATION),
    Xid(135, "Copy engine 19: unknown error", APPLICATION),
    Xid(136, "Link training failed", RESET),
    Xid(137, "NVLink privilege error: illegal access to a peer's memory", NOTE),
    Xid(139, "Optical flow accelerator 1 error", APPLICATION),
    Xid(140, "Unrecovered ECC error", RESET),
    Xid(141, "CUDA fast path error", NOTE),
    Xid(142, "Video encoder 3 error", SUPPORT),
    Xid(143, "GPU could not be initialized", RESET),
    Xid(144, "NVLink: SAW error", SUPPORT),
    Xid(145, "NVLink: RLW error", SUPPORT),
    Xid(146, "NVLink: TLW error", SUPPORT),
    Xid(147, "NVLink: TREX error", SUPPORT),
    Xid(148, "NVLink: NVLPW error", SUPPORT),
    Xid(149, "NVLink: NETIR error", SUPPORT),
    Xid(150, "NVLink: MSE error", SUPPORT),
    Xid(151, "Key rotation failed", RESTART),
    Xid(152, "Deep learning accelerator: SMMU error", NOTE),
    Xid(153, "Deep learning accelerator: timeout", NOTE),
    Xid(154, "Recovery action changed", NOTE),
    Xid(155, "NVLink: software defined error", RESET),
    Xid(156, "Resource retirement event", RESET),
    Xid(157, "Resource retirement failed: no spare resources left", NOTE, notify=True),
    Xid(158, "GPU fatal timeout", RESET),
    Xid(159, "CHI error: reset the GPU if managed memory or vGPUs are in use", SUPPORT),
    Xid(160, "Channel retirement event", NOTE),
    Xid(161, "Channel retirement failed", NOTE),
    Xid(162, "Power smoothing enabled again", NOTE),
    Xid(163, "Power smoothing disabled, after heat or a timeout", NOTE),
    Xid(164, "Power smoothing: circuit near the end of its life", NOTE, notify=True),
    Xid(165, "Power smoothing: circuit worn out", SUPPORT),
    Xid(166, "Confidential computing: NVLink traffic before its encryption", SUPPORT),
    Xid(167, "PCIe fatal timeout", SUPPORT),
    Xid(168, "Reduced memory: errors in the write protected region", SUPPORT),
    Xid(169, "Security engine (SEC2) halt", SUPPORT),
    Xid(170, "Confidential computing: NVLink interrupt", SUPPORT),
    Xid(171, "Uncorrectable DRAM error, the details of XID 48", NOTE),
    Xid(172, "Uncorrectable SRAM error, the details of XID 48", NOTE),
)

BY_CODE = {xid.code: xid for xid in XIDS}
NOTIFIED = tuple(xid.code for xid in XIDS if xid.notify)


def kind_of(code: int) -> Class:
    """What must be done about a code. A code that the table lacks is to be investigated."""
    known = BY_CODE.get(code)
    return known.kind if known else SUPPORT


# Codes above the table, as parts of a regular expression: to be investigated, like all that it lacks.
_NEWER = ("17[3-9]", "1[89][0-9]", "[2-9][0-9][0-9]", "[1-9][0-9][0-9][0-9]+")


def pattern(*codes: object) -> str:
    """A regular expression that finds one of these codes in the text of `gpu.xid_recent`."""
    return f",({'|'.join(str(code) for code in codes)}),"


def pattern_of(kind: Class) -> str:
    """The one for the codes of a class; for SUPPORT, newer codes too."""
    return pattern(*(code for code in range(1, 173) if kind_of(code) is kind), *(_NEWER if kind is SUPPORT else ()))
