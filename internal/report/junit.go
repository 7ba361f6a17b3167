package report

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"

	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

// JUnit writes a test suite in which each file with an aws-auth, or with an error, is a test case.
type JUnit struct {
	w     io.Writer
	suite junitSuite
}

// NewJUnit returns a JUnit.
func NewJUnit(w io.Writer) *JUnit { return &JUnit{w: w, suite: junitSuite{Name: "awsauth-guard"}} }

type junitSuites struct {
	XMLName xml.Name   `xml:"testsuites"`
	Suite   junitSuite `xml:"testsuite"`
}

type junitSuite struct {
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Errors   int         `xml:"errors,attr"`
	Cases    []junitCase `xml:"testcase"`
}

type junitCase struct {
	Name    string        `xml:"name,attr"`
	Class   string        `xml:"classname,attr"`
	File    string        `xml:"file,attr"`
	Error   *junitOutcome `xml:"error"`
	Failure *junitOutcome `xml:"failure"`
	Output  string        `xml:"system-out,omitempty"` // warnings
}

type junitOutcome struct {
	Message string `xml:"message,attr"`
	Type    string `xml:"type,attr"`
	Text    string `xml:",chardata"`
}

// Add keeps the case of a file. Readers take the first failure of a case only, so that all denials
// are one.
func (j *JUnit) Add(f File) error {
	if f.Objects == 0 && len(f.Problems) == 0 {
		return nil
	}
	c := junitCase{Name: oneLine(f.Name), Class: j.suite.Name, File: oneLine(f.Name)}
	var denials, warnings strings.Builder
	denied := 0
	for _, finding := range f.Findings {
		b := &warnings
		if finding.Severity == validate.Deny {
			b = &denials
			denied++
		}
		fmt.Fprintf(b, "%s: %s: %s [%s]\n", finding.place(), finding.Severity, oneLine(finding.Message), finding.Rule)
		if finding.Hint != "" {
			fmt.Fprintf(b, "    hint: %s\n", oneLine(finding.Hint))
		}
	}
	c.Output = warnings.String()
	if denied > 0 {
		j.suite.Failures++
		c.Failure = &junitOutcome{count(denied, "denial"), string(validate.Refuse), denials.String()}
	}
	if len(f.Problems) > 0 {
		var b strings.Builder
		for _, p := range f.Problems {
			b.WriteString(p.String() + "\n")
		}
		j.suite.Errors++
		c.Error = &junitOutcome{"the file could not be judged", "error", b.String()}
	}
	j.suite.Tests++
	j.suite.Cases = append(j.suite.Cases, c)
	return nil
}

// End writes the document.
func (j *JUnit) End(Total) error {
	var b strings.Builder
	b.WriteString(xml.Header)
	e := xml.NewEncoder(&b)
	e.Indent("", "  ")
	if err := e.Encode(junitSuites{Suite: j.suite}); err != nil {
		return fmt.Errorf("encoding XML: %w", err)
	}
	b.WriteString("\n")
	return flush(j.w, &b)
}
