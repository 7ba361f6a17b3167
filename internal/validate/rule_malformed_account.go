package validate

import (
	"strconv"
	"strings"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

var malformedAccount = &Rule{
	ID:       "malformed-account",
	Severity: Deny,
	Title:    "an element of mapAccounts is not an account id",
	Doc: `
The authenticator compares each element of mapAccounts with the caller's account id, digit by digit.
Any other text matches no caller, without an error: an ARN, an id with dashes, a wildcard, or an id that a tool
has read as a number and written without its leading zero.

Write the 12 digits in quotes.`,
	Source: "aws-iam-authenticator v0.7.18, pkg/mapper/configmap/configmap.go, AWSAccount; IAM user guide, \"AWS account identifiers\"",
	Exact:  true,
	Check:  checkMalformedAccount,
}

func checkMalformedAccount(p *Pass) {
	for _, f := range p.Doc.Accounts {
		if awsauth.IsAccountID(f.Value) || p.isLeftover(f.Value, false) {
			continue
		}
		why := ""
		if _, c, ok := awsauth.FindTypographic(f.Value); ok {
			why = " and has " + c.String()
		}
		p.Reportf(f, accountHint(f.Value), "%q is not an account id of 12 digits%s, so it never matches a caller", f.Value, why)
		p.correctAccount(f)
	}
}

// correctAccount adds the correction that writes an account without the characters between its digits, or that writes each of several
// accounts as an element of its own. It does nothing for an ARN: with the ARN's account alone, every principal of the account could log in.
func (p *Pass) correctAccount(f awsauth.Field) {
	if !p.corrects || awsauth.AccountOf(f.Value) != "" {
		return
	}
	hint := accountHint(f.Value)
	if items, ok := strings.CutSuffix(hint, ", each after a dash"); ok {
		p.correctItems(f, strings.Split(strings.ReplaceAll(strings.TrimPrefix(items, "write "), `"`, ""), " and "))
	} else if account := strings.Trim(strings.TrimPrefix(hint, "write "), `"`); awsauth.IsAccountID(account) {
		p.correctValue(f, account, false)
	}
}

func accountHint(text string) string {
	if account := awsauth.AccountOf(text); awsauth.IsAccountID(account) {
		hint := "write \"" + account + "\"; a single principal belongs in mapRoles or mapUsers"
		if isIAMGroup(text) {
			hint = "write \"" + account + "\", or map a role that the IAM group may assume"
		}
		return hint
	}
	digits := strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, text)
	if len(digits) > maxHintAccounts*12 {
		return "write each account as an element of its own: a dash and 12 digits in quotes"
	}
	if len(digits) > 12 && len(digits)%12 == 0 {
		return "write " + strings.Join(elements(digits), " and ") + ", each after a dash"
	}
	if awsauth.IsAccountID(digits) {
		return "write \"" + digits + "\""
	}
	if number, err := strconv.ParseInt(text, 10, 64); err == nil {
		if octal := "0" + strconv.FormatInt(number, 8); awsauth.IsAccountID(octal) { // read as an octal number by some tool
			return "write \"" + octal + "\" if this is the account"
		}
	}
	if padded := "0" + digits; awsauth.IsAccountID(padded) {
		return "write \"" + padded + "\" if this is the account"
	}
	return "write the 12 digits of the account in quotes"
}

// maxHintAccounts limits the accounts in a hint.
const maxHintAccounts = 10

// elements cuts the digits of several accounts into account ids in quotes.
func elements(digits string) (list []string) {
	for len(digits) >= 12 {
		list, digits = append(list, "\""+digits[:12]+"\""), digits[12:]
	}
	return list
}
