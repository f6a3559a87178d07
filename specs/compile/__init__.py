"""From models to the compiled fleet, one module for each thing that is compiled."""
