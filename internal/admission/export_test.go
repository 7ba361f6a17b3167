package admission

import "github.com/awsauth-guard/awsauth-guard/internal/validate"

// Message and Causes export message and causes.
var (
	Message = message
	Causes  = causes
)

// Silent is a Recorder that ignores all calls.
type Silent = silent

// Warnings returns the warnings for findings without overrides.
func Warnings(findings []validate.Finding) []string { return warnings(nil, findings) }
