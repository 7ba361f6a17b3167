package monitor_test

// recorder is what a monitor records; a replica has a Stored of its own for the enforcement.
type recorder struct{ *replica }

func (r recorder) Stored(present, breakGlass bool, admins, protectedMissing int) {
	r.set("present", flag(present))
	r.set("break-glass", flag(breakGlass))
	r.set("admins", float64(admins))
	r.set("missing", float64(protectedMissing))
}

func (r recorder) StoredEntries(section string, n int) { r.set(section, float64(n)) }

func (r recorder) StoredFindings(count func(rule, severity string) int) {
	r.set("protected-principal/deny", float64(count("protected-principal", "deny")))
}

func (r recorder) StoredPrincipals(counts map[string]int) {
	for _, state := range []string{"exists", "missing", "recreated", "unknown"} {
		if counts == nil {
			r.set("iam "+state, -1)
			continue
		}
		r.set("iam "+state, float64(counts[state]))
	}
}

func (r recorder) StoredUnknown() {
	r.change(func() {
		for _, name := range []string{"present", "break-glass", "admins", "missing", "mapRoles", "mapUsers", "mapAccounts", "protected-principal/deny"} {
			delete(r.gauges, name)
		}
	})
}
