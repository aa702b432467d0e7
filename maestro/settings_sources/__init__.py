"""Fills `maestro.settings` from the configuration file and the environment, and says what is wrong with them.

Later wins: defaults, the TOML file, the platform's own environment variables (RABBITMQ_HOST …), MAESTRO_*.
May import `maestro.settings` and nothing else of Maestro.
"""

from maestro.settings_sources.layers import Key as Key
from maestro.settings_sources.loading import Loaded as Loaded
from maestro.settings_sources.loading import find_file as find_file
from maestro.settings_sources.loading import load as load
from maestro.settings_sources.loading import load_settings as load_settings
from maestro.settings_sources.problems import SettingsError as SettingsError
