"""The sensors of a device: a line for each."""

from __future__ import annotations

from tfplus_agent.telemetry.sensor import Sensor
from tfplus_agent.telemetry.sensors.frequency import Frequency
from tfplus_agent.telemetry.sensors.load import Load
from tfplus_agent.telemetry.sensors.power.battery_power import BatteryPower
from tfplus_agent.telemetry.sensors.power.board_power import BoardPower
from tfplus_agent.telemetry.sensors.power.energy_counter import EnergyCounter
from tfplus_agent.telemetry.sensors.power.power_rails import PowerRails
from tfplus_agent.telemetry.sensors.power.power_supply import PowerSupply
from tfplus_agent.telemetry.sensors.pressure import Pressure
from tfplus_agent.telemetry.sensors.process_memory import ProcessMemory
from tfplus_agent.telemetry.sensors.process_time import ProcessTime
from tfplus_agent.telemetry.sensors.processor_time import ProcessorTime
from tfplus_agent.telemetry.sensors.proportional_memory import ProportionalMemory
from tfplus_agent.telemetry.sensors.system_memory import SystemMemory
from tfplus_agent.telemetry.sensors.thermal import ThermalZones
from tfplus_agent.telemetry.sensors.throttling import Throttling

SENSORS: tuple[Sensor, ...] = (
    BatteryPower(),
    BoardPower(),
    EnergyCounter(),
    Frequency(),
    Load(),
    PowerRails(),
    PowerSupply(),
    Pressure(),
    ProcessMemory(),
    ProcessorTime(),
    ProcessTime(),
    ProportionalMemory(),
    SystemMemory(),
    ThermalZones(),
    Throttling(),
)
