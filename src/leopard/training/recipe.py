"""A ready recipe for a cluster: the settings as one file, and a SLURM script that starts torchrun.

Writes files only; knows nothing of models.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from leopard.errors import ConfigError
from leopard.schema.files import write_text_atomically
from leopard.training.settings import TrainSettings

SETTINGS_NAME = "settings.json"
SCRIPT_NAME = "train.slurm"

_SCRIPT = """\
#!/bin/bash
#SBATCH --job-name={name}
#SBATCH --nodes={nodes}
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node={gpus}
#SBATCH --cpus-per-task={cpus}
#SBATCH --time={time}
#SBATCH --output=%x-%j.log
#SBATCH --requeue
#SBATCH --signal=TERM@300
# Submit from this folder: sbatch {script}. One machine without SLURM: bash {script}
# A run that ends early, for whatever reason, goes on when the same job is submitted again.
set -euo pipefail

nodes=${{SLURM_NNODES:-1}}
head=localhost
launch=()
if [ "$nodes" -gt 1 ]; then
  head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
fi
if [ -n "${{SLURM_JOB_ID:-}}" ]; then
  launch=(srun --kill-on-bad-exit=1)
fi
export OMP_NUM_THREADS={threads}

"${{launch[@]}}" torchrun \\
  --nnodes="$nodes" \\
  --nproc-per-node={gpus} \\
  --rdzv-id="${{SLURM_JOB_ID:-leopard}}" \\
  --rdzv-backend=c10d \\
  --rdzv-endpoint="$head:{port}" \\
  --module leopard.cli.main train {settings}
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Cluster:
    """Where a recipe is to run."""

    nodes: int = 8
    gpus_per_node: int = 8
    cpus_per_node: int = 64
    time: str = "24:00:00"
    """Time limit, as SLURM writes it."""
    port: int = 29500
    """Port at which the processes find one another."""

    def __post_init__(self) -> None:
        for name in ("nodes", "gpus_per_node", "cpus_per_node"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}; it must be at least 1")
        if not re.fullmatch(r"(\d+-)?\d{1,2}(:\d{2}){1,2}", self.time):
            raise ConfigError(f"time {self.time!r} is not understood; write 24:00:00 or 2-00:00:00")


def write_recipe(folder: Path, settings: TrainSettings, cluster: Cluster) -> list[Path]:
    """Write the settings and the script; returns both files.

    Raises:
        ConfigError: If the step has fewer samples than there are processes.
    """
    processes = cluster.nodes * cluster.gpus_per_node
    if settings.batch.samples < processes:
        raise ConfigError(
            f"batch.samples is {settings.batch.samples}, fewer than the {processes} processes; "
            "raise it or take fewer"
        )
    folder.mkdir(parents=True, exist_ok=True)
    values = folder / SETTINGS_NAME
    write_text_atomically(values, settings.model_dump_json(indent=1) + "\n")
    script = folder / SCRIPT_NAME
    text = _SCRIPT.format(
        name=re.sub(r"[^\w.-]", "-", settings.out.name) or "leopard",
        nodes=cluster.nodes,
        gpus=cluster.gpus_per_node,
        cpus=cluster.cpus_per_node,
        threads=max(1, cluster.cpus_per_node // cluster.gpus_per_node),
        time=cluster.time,
        port=cluster.port,
        script=SCRIPT_NAME,
        settings=SETTINGS_NAME,
    )
    write_text_atomically(script, text)
    return [values, script]
