"""What every test run needs before the first test module is imported."""

# With --import-mode=importlib, lash_core/tests/test_x.py becomes lash_core.tests.test_x, and pytest makes a
# namespace package of the folder lash_core/ unless the name is taken. Take it for the package in src/.
import lash_core  # noqa: F401
