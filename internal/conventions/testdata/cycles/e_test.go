package fixture

func alone() { end() }
