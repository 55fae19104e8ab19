package fixture

type (
	a        struct{}
	b        struct{}
	c        struct{}
	d        struct{}
	e[T any] struct{}
)

// step is asked for by an interface, so that it has one meaning.
type stepper interface{ step() }

func (a) step()  {}
func (b) step()  {}
func (c) step()  {}
func (*d) step() {}

// settle has four meanings, one of them in a generic type, and look three.
func (a) settle()    {}
func (b) settle()    {}
func (*c) settle()   {}
func (e[T]) settle() {}

func (a) look() {}
func (b) look() {}
func (c) look() {}

// withDefaults has the same meaning everywhere, and Exported is not asked about.
func (a) withDefaults() {}
func (b) withDefaults() {}
func (c) withDefaults() {}
func (d) withDefaults() {}

func (a) Exported() {}
func (b) Exported() {}
func (c) Exported() {}
func (d) Exported() {}
