"""The shared core: the contract, the catalogue of models, languages and windows, for all other packages."""
