package sinktest

// Rules returns the rules of all clauses, in their order.
func Rules() (rules []string) {
	for _, c := range decoratorClauses() {
		rules = append(rules, c.rule)
	}
	return rules
}
