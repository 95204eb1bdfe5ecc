"""What the Vulkan loader lists: GPUs with their driver and memory.

usage: python -m tfplus_agent.gpu.vulkan

A driver may crash when it is merely asked, so `devices` asks in a process of its own, which is this
module run as a program: it prints a JSON list.
"""

from __future__ import annotations

import ctypes
import json
import os
import struct
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tfplus.system import child_process

_TIMEOUT_S = 30.0
# Name the drivers in place of those that are installed; the first that is set counts.
_DRIVER_VARIABLES = ("VK_DRIVER_FILES", "VK_ICD_FILENAMES")
_LOADERS = ("libvulkan.so.1", "libvulkan.so")
_KINDS = ("other", "integrated", "discrete", "virtual", "software")
# Values of the Vulkan specification, section "Instances" and "Physical Device Enumeration".
_APPLICATION_INFO, _INSTANCE_CREATE_INFO = 0, 1
_PROPERTIES_2, _DRIVER_PROPERTIES = 1000059001, 1000196000
_VERSION_1_1 = (1 << 22) | (1 << 12)
_NAME_BYTES = 256
# VkPhysicalDeviceProperties: four words, the kind, the name; its limits follow, unread.
_PROPERTIES_BYTES = 4096
_MEMORY_HEAPS_AT = 4 + 32 * 8
_DEVICE_LOCAL = 1


@dataclass(frozen=True)
class VulkanDevice:
    """One GPU.

    Attributes:
      name: of the GPU.
      kind: integrated, discrete, virtual, software or other.
      driver: name and version, as the driver gives them.
      memory_bytes: of its own; on an integrated GPU a share of the machine's.
    """

    name: str
    kind: str
    driver: str
    memory_bytes: int


def devices() -> tuple[list[VulkanDevice], str]:
    """Returns what is listed, and why it is nothing; never raises."""
    try:
        done = child_process.run("tfplus_agent.gpu.vulkan", timeout_s=_TIMEOUT_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        return [], f"asking the Vulkan loader: {error}"
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        how = child_process.how_it_ended(done.returncode)
        return [], f"the process that asked the Vulkan loader {how}: {last}{_named_in_vain()}"
    listed = [VulkanDevice(**fields) for fields in json.loads(done.stdout)]
    return listed, "" if listed else f"the Vulkan loader lists no GPU{_named_in_vain()}"


def _named_in_vain() -> str:
    """Which driver files the environment names that do not exist."""
    named = next((v for v in _DRIVER_VARIABLES if os.environ.get(v)), "")
    missing = [p for p in os.environ.get(named, "").split(os.pathsep) if not Path(p).exists()]
    return f"; {named} names {missing[0]}, which does not exist" if named and missing else ""


class VulkanError(Exception):
    """The loader is missing, or refuses."""


class _ApplicationInfo(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_uint32),
        ("next", ctypes.c_void_p),
        ("application", ctypes.c_char_p),
        ("application_version", ctypes.c_uint32),
        ("engine", ctypes.c_char_p),
        ("engine_version", ctypes.c_uint32),
        ("api_version", ctypes.c_uint32),
    )


class _InstanceCreateInfo(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_uint32),
        ("next", ctypes.c_void_p),
        ("flags", ctypes.c_uint32),
        ("application_info", ctypes.POINTER(_ApplicationInfo)),
        ("layer_count", ctypes.c_uint32),
        ("layers", ctypes.c_void_p),
        ("extension_count", ctypes.c_uint32),
        ("extensions", ctypes.c_void_p),
    )


class _DriverProperties(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_uint32),
        ("next", ctypes.c_void_p),
        ("driver_id", ctypes.c_uint32),
        ("name", ctypes.c_char * _NAME_BYTES),
        ("info", ctypes.c_char * _NAME_BYTES),
        ("conformance", ctypes.c_uint8 * 4),
    )


class _Properties2(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_uint32),
        ("next", ctypes.c_void_p),
        ("properties", ctypes.c_uint8 * _PROPERTIES_BYTES),
    )


def _listed() -> list[VulkanDevice]:
    loader = _loader()
    application = _ApplicationInfo(type=_APPLICATION_INFO, api_version=_VERSION_1_1)
    request = _InstanceCreateInfo(
        type=_INSTANCE_CREATE_INFO, application_info=ctypes.pointer(application)
    )
    instance = ctypes.c_void_p()
    code = loader.vkCreateInstance(ctypes.byref(request), None, ctypes.byref(instance))
    if code:
        raise VulkanError(f"vkCreateInstance: error {code}: no driver")
    count = ctypes.c_uint32()
    loader.vkEnumeratePhysicalDevices(instance, ctypes.byref(count), None)
    handles = (ctypes.c_void_p * count.value)()
    loader.vkEnumeratePhysicalDevices(instance, ctypes.byref(count), handles)
    return [_described(loader, ctypes.c_void_p(handle)) for handle in handles[: count.value]]


def _loader() -> ctypes.CDLL:
    for name in _LOADERS:
        try:
            return ctypes.CDLL(name)
        except OSError:
            continue
    raise VulkanError(f"{_LOADERS[0]} is not installed")


def _described(loader: ctypes.CDLL, device: ctypes.c_void_p) -> VulkanDevice:
    driver = _DriverProperties(type=_DRIVER_PROPERTIES)
    found = _Properties2(
        type=_PROPERTIES_2, next=ctypes.cast(ctypes.byref(driver), ctypes.c_void_p)
    )
    loader.vkGetPhysicalDeviceProperties2(device, ctypes.byref(found))
    raw = bytes(found.properties)
    *_, kind = struct.unpack_from("<5I", raw)
    name = raw[20 : 20 + _NAME_BYTES].partition(b"\0")[0].decode(errors="replace")
    memory = (ctypes.c_uint8 * 1024)()
    loader.vkGetPhysicalDeviceMemoryProperties(device, ctypes.byref(memory))
    return VulkanDevice(
        name,
        _KINDS[kind] if kind < len(_KINDS) else _KINDS[0],
        f"{driver.name.decode(errors='replace')} {driver.info.decode(errors='replace')}".strip(),
        _local_bytes(bytes(memory)),
    )


def _local_bytes(memory: bytes) -> int:
    (heaps,) = struct.unpack_from("<I", memory, _MEMORY_HEAPS_AT)
    sizes: list[int] = []
    for i in range(heaps):
        size, flags = struct.unpack_from("<QI", memory, _MEMORY_HEAPS_AT + 4 + 16 * i)
        if flags & _DEVICE_LOCAL:
            sizes.append(size)
    return sum(sizes)


def main() -> int:
    """Prints the list."""
    try:
        listed = _listed()
    except VulkanError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(json.dumps([vars(device) for device in listed]) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
