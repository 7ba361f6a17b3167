package main

import "testing"

// The mutants take long to test, so CI doesn't test them. This test finds a mutant whose source has changed.
func TestMutantsFitTheSource(t *testing.T) {
	list, err := readMutants("mutants.txt")
	if err != nil {
		t.Fatal(err)
	}
	if len(list) < 80 {
		t.Errorf("read %d mutants; mutants.txt has more than 80", len(list))
	}
	if err := checkMutants(list, "../../.."); err != nil {
		t.Error(err)
	}
}
