"""Requests that need nobody's documents: what a store's similarities are compared with.

They stand for small talk, arithmetic, writing, general facts and advice. A cosine means nothing by
itself, it depends on the embedder and on the corpus; how far a question's cosine lies above those
of these requests does.
"""

from __future__ import annotations

BACKGROUND = (
    "Hello, how are you today?",
    "Good morning!",
    "Thank you very much for your help.",
    "Who are you and what can you do?",
    "Tell me a joke.",
    "Write a short poem about the sea.",
    "Write a story about a dragon and a princess.",
    "Compose a birthday message for my grandmother.",
    'Translate "good night" into Spanish.',
    "How do you say thank you in Japanese?",
    "What is 12 times 8?",
    "What is the square root of 144?",
    "Add 45 and 67.",
    "What is 20 percent of 150?",
    "Solve x + 3 = 10.",
    "What is the capital of Italy?",
    "Which planet is the largest in the solar system?",
    "Who wrote Romeo and Juliet?",
    "What is the tallest mountain in the world?",
    "How many days are there in a leap year?",
    "What is the chemical symbol for gold?",
    "Who painted the Mona Lisa?",
    "In which year did the Second World War end?",
    "What colour do you get when you mix blue and yellow?",
    "Which singer recorded the album Thriller?",
    "Who was the first president of the United States?",
    "What is the largest ocean?",
    "Which team won the football championship?",
    "Name three fruits that are red.",
    "List five animals that live in Africa.",
    "What should I cook for dinner tonight?",
    "Give me a recipe for pancakes.",
    "What is a good name for a cat?",
    "What do you think about love?",
    "Give me advice on how to sleep better.",
    "How can I become more confident?",
    "Recommend a film for a rainy evening.",
    "What is the opposite of hot?",
    "Give me a synonym for happy.",
    "Correct the spelling of this sentence: I has two brother.",
    "Make this sentence more polite: send me the file.",
    "Summarise our conversation so far.",
    "What is the weather like today?",
    "What time is it?",
    "Do you like music?",
    "Flip a coin for me.",
    "Count from one to ten.",
    "What is the meaning of life?",
)
