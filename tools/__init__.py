"""Programs for developers. Servers import nothing from here."""
