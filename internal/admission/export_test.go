package admission

import "github.com/awsauth-guard/awsauth-guard/internal/validate"

// Functions for the tests of texts.
var (
	Message = message
	Causes  = causes
)

// Silent is a Recorder that ignores all calls.
type Silent = silent

// Warnings returns the warnings for findings without overrides.
func Warnings(findings []validate.Finding) []string { return warnings(nil, findings) }
