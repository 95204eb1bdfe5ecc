"""The sensors of a device: a line for each."""

from __future__ import annotations

from tfplus_agent.telemetry.power_supply import PowerSupply
from tfplus_agent.telemetry.process_memory import ProcessMemory
from tfplus_agent.telemetry.sensor import Sensor
from tfplus_agent.telemetry.system_memory import SystemMemory
from tfplus_agent.telemetry.thermal import ThermalZones

SENSORS: tuple[Sensor, ...] = (
    PowerSupply(),
    ProcessMemory(),
    SystemMemory(),
    ThermalZones(),
)
