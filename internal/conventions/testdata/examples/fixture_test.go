package fixture_test

import "example.com/fixture"

func ExampleNew_suffix() {}

func ExampleSink() { fixture.NewByType() }

func ExampleRecover() {}

func ExampleNewUnusedToo() { fixture.NewUnused() }
