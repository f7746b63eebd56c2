use super::dialect;
use super::test_support::{fixture, offer, facts, whole, tool};
use crate::types::{DialectName, Message, Role, ToolChoice};
use crate::types::cell::Reasoning;
use llguidance::api::TopLevelGrammar;
use llguidance::toktrie::{ApproximateTokEnv, TokRxInfo, TokTrie};
use llguidance::{Matcher, ParserFactory};
use std::time::Instant;
#[test]
fn scratch() {
    let words: Vec<Vec<u8>> = std::fs::read_to_string("/tmp/qwen_tokens.hex").unwrap().lines()
        .map(|l| (0..l.len()/2).map(|i| u8::from_str_radix(&l[2*i..2*i+2],16).unwrap()).collect()).collect();
    let mut words = words; let eos = words.len() as u32; words.push(b"\xff<eos>".to_vec());
    let trie = TokTrie::from(&TokRxInfo::new(words.len() as u32, eos), &words);
    let env = std::sync::Arc::new(ApproximateTokEnv::new(trie)) as llguidance::toktrie::TokEnv;
    let _=fixture; let _=whole; let _=facts; let _ = (Message::text(Role::User,""),);
    let mut slices = llguidance::earley::SlicedBiasComputer::general_slices();
    if let Ok(x) = std::env::var("XS") { for x in x.split("@@") { slices.push(x.to_owned()); } }
    println!("{slices:?}");
    let now = Instant::now();
    let mut factory = ParserFactory::new(&env, Default::default(), &slices).unwrap(); factory.quiet();
    println!("factory {:?}", now.elapsed());
    let _ = tool;
    let answer = "The weather in Zurich is nice: 3 < 4 and `code` is fine, and so on. I think it will be warm tomorrow too, with <b>sun</b> and a light breeze.\nObserve that it may rain. ".repeat(4);
    for &name in DialectName::ALL {
        for reasoning in [Reasoning::Off, Reasoning::Tokens(64)] {
        let mut offer = offer(Some(fixture("hermes")), ToolChoice::Auto);
        offer.reasoning = reasoning;
        let g = dialect(name).grammar(&offer);
        let mut lark = g.to_lark(); if std::env::var("MT").is_ok() { lark = lark.replace("{0,599}", "*").replace("answer: / ", "answer[max_tokens=200]: / "); lark = lark.replace("answer: \"Final Answer:\" /", "answer: \"Final Answer:\" answer_text\nanswer_text[max_tokens=200]: /"); }
        let now = Instant::now();
        let mut m = Matcher::new(factory.create_parser(TopLevelGrammar::from_lark(lark)));
        let build = now.elapsed();
        let text = match name { DialectName::Json => serde_json::json!({"answer": answer[..590]}).to_string(), DialectName::React => format!("Thought: I know\nFinal Answer: {}", &answer[..590]), _ => answer[..590].to_owned() };
        let toks = env.tokenize(&text);
        let mut times = vec![];
        for (i,t) in toks.iter().enumerate() {
            let now = Instant::now();
            let mask = m.compute_mask().unwrap_or_else(|e| panic!("{name} {e}"));
            times.push(now.elapsed().as_micros());
            assert!(mask.is_allowed(*t), "{name} token {i} {:?}", String::from_utf8_lossy(&words[*t as usize]));
            m.consume_token(*t).unwrap();
        }
        let first = times[0]; let n = times.len(); let sum: u128 = times.iter().sum();
        times.sort();
        println!("{name} {reasoning} build {build:?} tokens {n} first {first} mean {} p90 {} max {}", sum/n as u128, times[n*9/10], times[n-1]);
        }
    }
}
