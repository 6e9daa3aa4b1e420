"""Write mixtures with fewer experts: dropped, or merged."""
