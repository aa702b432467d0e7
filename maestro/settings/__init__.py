"""The settings (`model`), filled from the configuration file and the environment, and what is wrong with them.

Later wins: defaults, the TOML file, the platform's own environment variables (RABBITMQ_HOST …), MAESTRO_*.
Imports nothing else of Maestro but `events` and `faultpoints`.
"""

from maestro.settings.layers import Key as Key
from maestro.settings.loading import Loaded as Loaded
from maestro.settings.loading import find_file as find_file
from maestro.settings.loading import load as load
from maestro.settings.loading import load_settings as load_settings
from maestro.settings.problems import SettingsError as SettingsError
