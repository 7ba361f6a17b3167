package admission

import "github.com/awsauth-guard/awsauth-guard/internal/validate"

// What the tests of texts call.
var (
	Message = message
	Causes  = causes
)

// Silent counts nothing.
type Silent = silent

// Warnings are those of findings alone.
func Warnings(findings []validate.Finding) []string { return warnings(nil, findings) }
