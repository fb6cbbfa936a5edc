"""The only place that talks to solvers: matrix in, result out."""
