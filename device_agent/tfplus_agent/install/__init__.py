"""What keeps an agent running on a device: a systemd unit, or a script for Termux at boot."""
