package main

import "testing"

// TestMutantsFitTheSource finds mutants that no longer fit the source. CI doesn't run the oracle on the mutants, because that
// takes long.
func TestMutantsFitTheSource(t *testing.T) {
	list, err := readMutants("mutants.txt")
	if err != nil {
		t.Fatal(err)
	}
	if len(list) < 80 {
		t.Errorf("read %d mutants, want at least 80", len(list))
	}
	if err := checkMutants(list, "../../.."); err != nil {
		t.Error(err)
	}
}
