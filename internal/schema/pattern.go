package schema

type pattern struct{ expected string }

func (p *pattern) matches([]byte) bool { return true }

func (n *node) addPattern(v *value) error { return unsupported(v, "is not supported") }

type format struct{ expected string }

func (f *format) matches([]byte) bool { return true }

func (c *compiler) checkFormat(v *value) error { return nil }

func (c *compiler) addFormat(n *node, v *value) error { return nil }
