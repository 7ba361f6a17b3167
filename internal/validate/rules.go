package validate

// Rules returns every rule, in the order in which people read about them: the text, its
// elements, its principals, the change. Findings are sorted by place, not by this order.
func Rules() []*Rule {
	return []*Rule{
		misspeltDataKey,
		yamlSyntax,
		notAList,
		trailingContent,
		notAMapping,
		duplicateKey,
		wrongType,
		missingARN,
		emptyUsername,
		malformedARN,
		assumedRoleARN,
		rolePath,
		conflictingPrincipal,
		deleted,
		emptied,
		protectedPrincipal,
		nodeRoleRemoved,
		selfLockout,
		lastAdmin,
		breakGlassDenied,
	}
}
