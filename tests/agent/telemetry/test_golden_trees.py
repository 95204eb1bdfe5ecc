"""Values that real devices show, and what they mean in our units.

Of public origin: the Pi 5's answer of its power chip (as owners print it), Termux' documented
answer, a ThinkPad's battery, its package counter and pressure lines as exporters of metrics test
them. Reconstructed from the drivers' documentation: the Pi 4's firmware word, the Jetson's and the
INA219's files, and the phone whose driver says milliamperes.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from tfplus_agent.telemetry.sensor import Reading
from tfplus_agent.telemetry.sensors.registry import SENSORS

PI_4 = {
    "sys/class/thermal/thermal_zone0/type": "cpu-thermal",
    "sys/class/thermal/thermal_zone0/temp": "48199",
    "sys/devices/system/cpu/cpufreq/policy0/scaling_cur_freq": "1500000",
    "sys/devices/platform/soc/soc:firmware/get_throttled": "50005",
    "proc/loadavg": "0.52 0.58 0.59 2/431 12345",
}
PMIC = """  3V7_WL_SW_A current(0)=0.09759000A
   3V3_SYS_A current(1)=0.03318000A
  VDD_CORE_A current(7)=2.63310800A
   3V7_WL_SW_V volt(8)=3.70960000V
     3V3_SYS_V volt(9)=3.31550000V
    VDD_CORE_V volt(15)=0.72162530V
      EXT5V_V volt(24)=5.14620000V
       BATT_V volt(25)=0.00488400V
"""
PI_5 = {
    "usr/bin/vcgencmd": "#!/bin/sh\n"
    "[ $1 = pmic_read_adc ] || { echo throttled=0x80008; exit; }\n"
    f"cat <<'X'\n{PMIC}X\n"
}
TERMUX = """{"present": true, "technology": "Li-ion", "health": "GOOD", "plugged": "UNPLUGGED",
"status": "DISCHARGING", "temperature": "22.3", "voltage": 4099, "current": -820000,
"current_average": -576, "percentage": 85, "level": 85, "scale": 100, "energy": null}"""
TERMUX_PROGRAM = "data/data/com.termux/files/usr/bin/termux-battery-status"
PIXEL = {TERMUX_PROGRAM: f"#!/bin/sh\ncat <<'X'\n{TERMUX}\nX\n"}
PHONE_IN_MILLIAMPERES = {
    "sys/class/power_supply/battery/type": "Battery",
    "sys/class/power_supply/battery/status": "Discharging",
    "sys/class/power_supply/battery/capacity": "64",
    "sys/class/power_supply/battery/current_now": "-512",
    "sys/class/power_supply/battery/voltage_now": "3900000",
    "sys/class/power_supply/battery/temp": "315",
}
THINKPAD = {
    "sys/class/power_supply/AC/type": "Mains",
    "sys/class/power_supply/AC/online": "0",
    "sys/class/power_supply/BAT0/type": "Battery",
    "sys/class/power_supply/BAT0/status": "Discharging",
    "sys/class/power_supply/BAT0/capacity": "98",
    "sys/class/power_supply/BAT0/power_now": "4830000",
    "sys/class/power_supply/BAT0/voltage_now": "12229000",
    "sys/class/powercap/intel-rapl:0/name": "package-0",
    "sys/class/powercap/intel-rapl:0/energy_uj": "240422366267",
    "sys/class/powercap/intel-rapl:0/max_energy_range_uj": "262143328850",
    "sys/class/powercap/intel-rapl:0:0/name": "core",
    "sys/class/powercap/intel-rapl:0:0/energy_uj": "118821284256",
    "proc/pressure/memory": "some avg10=0.10 avg60=2.00 avg300=3.85 total=15\n"
    "full avg10=0.20 avg60=3.00 avg300=4.95 total=25",
    "proc/stat": "cpu  301854 612 111922 8979004 3552 2 3944 0 0 0\ncpu0 1 2 3 4 5 6 7 8 9 10",
}
JETSON = {
    "sys/class/hwmon/hwmon3/name": "ina3221",
    "sys/class/hwmon/hwmon3/in1_label": "VDD_IN",
    "sys/class/hwmon/hwmon3/in1_input": "4920",
    "sys/class/hwmon/hwmon3/curr1_input": "1040",
    "sys/class/hwmon/hwmon3/in2_label": "VDD_CPU_GPU_CV",
    "sys/class/hwmon/hwmon3/in2_input": "4920",
    "sys/class/hwmon/hwmon3/curr2_input": "280",
    "sys/class/hwmon/hwmon4/name": "ina219",
    "sys/class/hwmon/hwmon4/power1_input": "2520000",
}

BOARD_WATTS = 3.7096 * 0.09759 + 3.3155 * 0.03318 + 0.7216253 * 2.633108
EXPECTED: list[tuple[str, Mapping[str, str], dict[str, float]]] = [
    (
        "Pi 4",
        PI_4,
        {
            "temperature_celsius cpu-thermal": 48.199,
            "processor_frequency_hertz policy0": 1.5e9,
            "under_voltage": 1,
            "frequency_capped": 0,
            "throttled": 1,
            "temperature_limited": 0,
            "load_average_count": 0.52,
        },
    ),
    (
        "Pi 5",
        PI_5,
        {
            "board_power_watts": BOARD_WATTS,
            "under_voltage": 0,
            "frequency_capped": 0,
            "throttled": 0,
            "temperature_limited": 1,
        },
    ),
    (
        "Pixel",
        PIXEL,
        {
            "battery_charge_percent": 85,
            "plugged_in": 0,
            "battery_voltage_volts": 4.099,
            "battery_current_amperes": 0.82,
            "battery_power_watts": 4.099 * 0.82,
            "battery_temperature_celsius": 22.3,
        },
    ),
    (
        "phone in milliamperes",
        PHONE_IN_MILLIAMPERES,
        {
            "battery_charge_percent": 64,
            "plugged_in": 0,
            "battery_voltage_volts": 3.9,
            "battery_current_amperes": 0.512,
            "battery_power_watts": 3.9 * 0.512,
            "battery_temperature_celsius": 31.5,
        },
    ),
    (
        "ThinkPad",
        THINKPAD,
        {
            "battery_charge_percent": 98,
            "plugged_in": 0,
            "battery_voltage_volts": 12.229,
            "battery_power_watts": 4.83,
            "package_energy_joules package-0-0": 240422.366267,
            "package_energy_range_joules package-0-0": 262143.32885,
            "pressure_stalled_seconds memory-some": 15e-6,
            "pressure_stalled_seconds memory-full": 25e-6,
            "processor_busy_seconds": (301854 + 612 + 111922 + 2 + 3944) / 100,
            "processor_idle_seconds": (8979004 + 3552) / 100,
        },
    ),
    (
        "Jetson",
        JETSON,
        {
            "rail_power_watts VDD_IN-hwmon3": 4.92 * 1.04,
            "rail_power_watts VDD_CPU_GPU_CV-hwmon3": 4.92 * 0.28,
            "rail_power_watts ina219-hwmon4": 2.52,
        },
    ),
]


def grown(root: Path, files: Mapping[str, str]) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content + "\n")
        path.chmod(0o755 if content.startswith("#!") else 0o644)
    return root


def everything(root: Path) -> list[Reading]:
    return [reading for sensor in SENSORS for reading in sensor.read(root)]


@pytest.mark.parametrize(
    ("files", "expected"), [e[1:] for e in EXPECTED], ids=[e[0] for e in EXPECTED]
)
def test_a_device(files: Mapping[str, str], expected: dict[str, float], tmp_path: Path) -> None:
    readings = everything(grown(tmp_path, files))
    told = {f"{r.quantity} {r.instance}".strip(): r.value for r in readings if r.value is not None}
    assert told == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    ("status", "current", "amperes"),
    [
        ("Discharging", "820000", 0.82),
        ("Discharging", "-820000", 0.82),
        ("Charging", "-1500000", -1.5),
        ("Charging", "1500000", -1.5),
        ("Discharging", "450", 0.45),
        ("Full", "0", 0.0),
        ("Charging", "900", None),
        ("Not charging", "500000", None),
        ("Unknown", "500000", None),
    ],
)
def test_sign_and_unit_of_a_current(
    status: str, current: str, amperes: float | None, tmp_path: Path
) -> None:
    place = "sys/class/power_supply/battery"
    files = {f"{place}/type": "Battery", f"{place}/status": status, f"{place}/current_now": current}
    (found,) = (
        r for r in everything(grown(tmp_path, files)) if r.quantity == "battery_current_amperes"
    )
    assert found.value == (None if amperes is None else pytest.approx(amperes))
    assert found.raw == current
    assert (found.value is None) == bool(found.absent_reason)
