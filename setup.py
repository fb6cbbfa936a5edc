"""The one step of the build that pyproject.toml cannot state: trained networks go into the package.

In a checkout they lie in models/, beside the package, where `make models` writes them. An installed
package has nothing beside it, so a wheel holds them as torta_opt/models.
"""

from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ENDINGS = (".json", ".safetensors")  # not the training curves, which no command reads


class BuildWithModels(build_py):
    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return
        target = Path(self.build_lib, "torta_opt", "models")
        self.mkpath(str(target))
        for file in sorted(Path("models").iterdir()):
            if file.suffix in ENDINGS:
                self.copy_file(str(file), str(target / file.name))


setup(cmdclass={"build_py": BuildWithModels})
